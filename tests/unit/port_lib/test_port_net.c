/* SPDX-License-Identifier: Apache-2.0
 * HTTP of the port, against a server in this process on a port that the kernel picks. */
#include "ph_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <kernel/net.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char asked[1024];

/* Answer one request, and end. */
static void *serve(void *arg)
{
    static const char answer[] = "HTTP/1.0 200 OK\r\nX: y\r\n\r\nbody\n\nmore";
    int fd = accept(*(int *)arg, NULL, NULL);
    size_t used = 0;
    while (fd >= 0 && strstr(asked, "\r\n\r\n") == NULL) {
        ssize_t done = recv(fd, asked + used, sizeof(asked) - 1 - used, 0);
        if (done <= 0) {
            break;
        }
        used += (size_t)done;
        asked[used] = '\0';
    }
    if (fd >= 0) {
        (void)!send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
        close(fd);
    }
    return NULL;
}

static void fetch(size_t size, errno_t expected, const char *body)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    pthread_t server;
    memset(asked, 0, sizeof(asked));
    assert_int_equal(pthread_create(&server, NULL, serve, &listener), 0);
    char url[64];
    char buffer[256];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/a/b?c", ntohs(address.sin_port));
    assert_int_equal(net_curl(url, buffer, size, "A: b\r\n"), expected);
    pthread_join(server, NULL);
    close(listener);
    assert_string_equal(asked, "GET /a/b?c HTTP/1.0\r\nHost: 127.0.0.1\r\nA: b\r\n\r\n");
    assert_string_equal(http_skip_header(buffer), body);
}

static void what_the_server_says_arrives(void **state)
{
    (void)state;
    phantom_net_allow(true);
    fetch(256, 0, "body\n\nmore");
    fetch(29, ENOBUFS, "bod"); /* cut off, and terminated */
    phantom_net_allow(false);
}

static void it_is_denied_unless_the_host_allows_it(void **state)
{
    (void)state;
    char buffer[8] = "old";
    assert_int_equal(net_curl("http://127.0.0.1:1/", buffer, sizeof(buffer), NULL), EACCES);
    assert_string_equal(buffer, "");
}

static void bad_addresses_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "ftp://a/",
        "http://",
        "http:///x",
        "http://a:b/",
        "http://a:/",
        "http://a:123456/",
        "http://u@a/",
        "http://a/x y",
        "http://a/\r\nX: y",
        "http://a:80x",
    };
    char buffer[8];
    phantom_net_allow(true);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(net_curl(bad[i], buffer, sizeof(buffer), NULL), EINVAL);
    }
    assert_int_equal(net_curl("http://127.0.0.1:1/", buffer, 0, NULL), EINVAL);
    phantom_net_allow(false);
    assert_string_equal(http_skip_header("no header"), "no header");
    assert_string_equal(http_skip_header("a\n\nb\r\n\r\nc"), "b\r\n\r\nc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_server_says_arrives),
        cmocka_unit_test(it_is_denied_unless_the_host_allows_it),
        cmocka_unit_test(bad_addresses_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
