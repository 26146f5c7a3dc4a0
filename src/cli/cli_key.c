/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_key.c - the key of an encrypted store, from a file that only its owner can read. One command
 * a process, so there is one key; it is wiped when the command ends.
 */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_BYTES = 32, HEX_DIGITS = 2 * KEY_BYTES, FILE_BYTES = HEX_DIGITS + 3 };

static struct {
    unsigned char bytes[KEY_BYTES];
    struct phantom_key key; /* bytes NULL: none */
} given;

const struct phantom_key *cli_key(void)
{
    return given.key.bytes != NULL ? &given.key : NULL;
}

void cli_forget_key(void)
{
    explicit_bzero(&given, sizeof given);
}

/* The whole file; how many bytes it has, or -errno. At most FILE_BYTES are read. */
static int read_all(int fd, unsigned char *text)
{
    size_t used = 0;
    while (used < FILE_BYTES) {
        ssize_t n = read(fd, text + used, FILE_BYTES - used);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n == 0) {
            break;
        }
        used += n > 0 ? (size_t)n : 0;
    }
    return (int)used;
}

static int digit(unsigned char c)
{
    return isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

static bool decode(const unsigned char *text, int size, unsigned char key[KEY_BYTES])
{
    if (size == KEY_BYTES) {
        memcpy(key, text, KEY_BYTES);
        return true;
    }
    bool good = size == HEX_DIGITS || (size == HEX_DIGITS + 1 && text[HEX_DIGITS] == '\n') ||
                (size == HEX_DIGITS + 2 && memcmp(text + HEX_DIGITS, "\r\n", 2) == 0);
    for (int i = 0; good && i < KEY_BYTES; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        good = high >= 0 && low >= 0;
        key[i] = good ? (unsigned char)(16 * high + low) : 0;
    }
    return good;
}

int cli_take_key_file(const struct cli_command *command, const char *path)
{
    unsigned char text[FILE_BYTES];
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int error = fd < 0 || fstat(fd, &status) != 0 ? errno : 0;
    int result = CLI_OK, size = 0;
    if (error != 0) {
        result = cli_usage(command, "--key-file: %s: %s", path, strerror(error));
        /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): that much was read */
    } else if (S_ISREG(status.st_mode) && (status.st_mode & 077) != 0) {
        result = cli_usage(command, "--key-file: %s: others may use it (mode %03o); chmod 600 it",
                           path, (unsigned)status.st_mode & 0777);
    } else {
        size = read_all(fd, text);
        (void)mlock(&given, sizeof given); /* as far as the system lets us */
        if (size < 0) {
            result = cli_usage(command, "--key-file: %s: %s", path, strerror(-size));
        } else if (!decode(text, size, given.bytes)) {
            result = cli_usage(command, "--key-file: %s: neither 32 bytes nor 64 hex digits", path);
        } else {
            given.key = (struct phantom_key){given.bytes, sizeof given.bytes};
        }
    }
    explicit_bzero(text, sizeof text);
    if (fd >= 0) {
        close(fd);
    }
    return result;
}
