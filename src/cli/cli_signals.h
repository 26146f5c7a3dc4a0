/* SPDX-License-Identifier: Apache-2.0 - see cli_long.c */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

/** If a caught signal asked for the end: die by it, as whoever waits for us expects. */
void cli_die_if_stopped(void);

#endif /* CLI_SIGNALS_H */
