/* SPDX-License-Identifier: Apache-2.0
 *
 * port_net.c - <kernel/net.h>: an HTTP GET for connections of the port, denied unless the host
 * allows it. State: that permission, of the instance.
 */
#include "port_internal.h"

#include <errno.h>
#include <kernel/net.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void phantom_net_allow(bool allow)
{
    atomic_store(&port_hal()->net_allowed, allow);
}

const char *http_skip_header(const char *buf)
{
    const char *crlf = strstr(buf, "\r\n\r\n");
    const char *lf = strstr(buf, "\n\n");
    if (crlf != NULL && (lf == NULL || crlf < lf)) {
        return crlf + 4;
    }
    return lf != NULL ? lf + 2 : buf;
}

struct url {
    char host[256];
    char port[6];
    const char *path; /* within the text; without the leading slash */
};

/* http://host[:port][/path]; characters that could end the request line are refused. */
static bool parse_url(const char *text, struct url *url)
{
    static const char scheme[] = "http://";
    if (strncmp(text, scheme, strlen(scheme)) != 0 || strpbrk(text, " \t\r\n") != NULL) {
        return false;
    }
    text += strlen(scheme);
    size_t host = strcspn(text, ":/?#@");
    if (host == 0 || host >= sizeof(url->host) || text[host] == '@') {
        return false;
    }
    memcpy(url->host, text, host);
    url->host[host] = '\0';
    text += host;
    strcpy(url->port, "80");
    if (*text == ':') {
        size_t digits = strspn(++text, "0123456789");
        if (digits == 0 || digits >= sizeof(url->port)) {
            return false;
        }
        memcpy(url->port, text, digits);
        url->port[digits] = '\0';
        text += digits;
    }
    if (*text != '\0' && *text != '/') {
        return false;
    }
    url->path = *text == '/' ? text + 1 : text;
    return true;
}

static int open_connection(const struct url *url, errno_t *rc)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    *rc = EHOSTUNREACH;
    if (getaddrinfo(url->host, url->port, &hints, &found) != 0) {
        return -1;
    }
    int fd = -1;
    for (struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
            *rc = errno;
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

static errno_t send_all(int fd, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t done = send(fd, text, left, MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return errno;
        }
        text += done;
        left -= (size_t)done;
    }
    return 0;
}

static errno_t send_request(int fd, const struct url *url, const char *headers)
{
    const char *parts[] = {"GET /",   url->path, " HTTP/1.0\r\nHost: ",
                           url->host, "\r\n",    headers != NULL ? headers : "",
                           "\r\n"};
    errno_t rc = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && rc == 0; i++) {
        rc = send_all(fd, parts[i]);
    }
    return rc;
}

/* Until the other side closes. */
static errno_t receive(int fd, char *buffer, size_t size)
{
    size_t used = 0;
    for (;;) {
        char beyond;
        bool full = used == size - 1;
        ssize_t done = recv(fd, full ? &beyond : buffer + used, full ? 1 : size - 1 - used, 0);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0 || full) {
            buffer[used] = '\0';
            return done < 0 ? errno : done > 0 ? ENOBUFS : 0;
        }
        used += (size_t)done;
    }
}

errno_t net_curl(const char *url, char *obuf, size_t obufsize, const char *headers)
{
    struct url parsed;
    if (obufsize == 0) {
        return EINVAL;
    }
    obuf[0] = '\0';
    if (!atomic_load(&port_hal()->net_allowed)) {
        return EACCES;
    }
    if (!parse_url(url, &parsed)) {
        return EINVAL;
    }
    errno_t rc = 0;
    int fd = open_connection(&parsed, &rc);
    if (fd < 0) {
        return rc;
    }
    rc = send_request(fd, &parsed, headers);
    if (rc == 0) {
        rc = receive(fd, obuf, obufsize);
    }
    close(fd);
    return rc;
}
