/* SPDX-License-Identifier: Apache-2.0
 *
 * kv_commands.h - what each command does to the map. Knows no sockets.
 */
#ifndef KV_COMMANDS_H
#define KV_COMMANDS_H

#include "kv_map.h"
#include "resp.h"

enum kv_effect {
    KV_READ = 0,  /* the map is as it was */
    KV_WROTE = 1, /* the reply may go out when the change is durable */
    KV_QUIT = 2,  /* close the connection after the reply */
    KV_SAVE = 3,  /* a snapshot is asked for */
    KV_NO_MEMORY = -1,
};

/**
 * Execute one command (count >= 1) inside an operation of the space and append its reply.
 * @return an enum kv_effect; after KV_NO_MEMORY the reply is incomplete: close the connection
 */
int kv_execute(struct phantom_space *space, struct kv_map *map, const struct resp_command *command,
               struct resp_buffer *reply);

#endif /* KV_COMMANDS_H */
