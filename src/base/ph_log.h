/* SPDX-License-Identifier: Apache-2.0
 *
 * ph_log.h - the log sink, one of the two pieces of process-wide state (the other is the fault and
 * mutant switch of test builds). The library itself prints nothing: without a sink, messages go
 * nowhere. What a host must hear goes through its callbacks instead; this is for whoever debugs or
 * tests the library.
 */
#ifndef PH_LOG_H
#define PH_LOG_H

enum ph_log_level { PH_LOG_ERROR, PH_LOG_WARNING, PH_LOG_INFO, PH_LOG_DEBUG };

typedef void (*ph_log_sink)(void *context, enum ph_log_level level, const char *message);

/** Install the sink (NULL: none). Not synchronised: call before threads exist. */
void ph_log_set_sink(ph_log_sink sink, void *context, enum ph_log_level max_level);

/** One message without newline. Any thread. */
void ph_log(enum ph_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif /* PH_LOG_H */
