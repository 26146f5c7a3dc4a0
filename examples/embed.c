/* SPDX-License-Identifier: Apache-2.0
 *
 * embed.c - a C program with a persistent world inside: opens it, lets it run for a while, asks for
 * a snapshot, closes it, opens it again and lets it go on. Usage: embed STORE CLASS_DIRECTORY
 */
#include <phantom/phantom.h>

#include <stdio.h>

static void print(void *context, const char *bytes, size_t size)
{
    fwrite(bytes, 1, size, context);
}

int main(int argc, char **argv)
{
    struct phantom_options options;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    phantom_options_init(&options);
    options.boot_class = ".examples.queens";
    options.class_paths = (const char *const[]){argc > 2 ? argv[2] : ".", NULL};
    options.console = print;
    options.context = stdout;
    struct phantom_world *world;
    int result = PHANTOM_ETIMEOUT;
    for (int life = 1; result == PHANTOM_ETIMEOUT; life++) {
        if (argc < 2 || phantom_open(argv[1], &options, &world, &diag) != 0) {
            fprintf(stderr, "embed: %s\n", diag.text);
            return 1;
        }
        result = phantom_step(world, 20 * 1000 * 1000); /* a life of twenty million instructions */
        struct phantom_generation generation;
        if (phantom_snapshot(world, &generation) == 0) {
            fprintf(stderr, "life %d ends at generation %llu\n", life,
                    (unsigned long long)generation.number);
        }
        phantom_close(world);
    }
    return result == 0 ? 0 : 1;
}
