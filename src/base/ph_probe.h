/* SPDX-License-Identifier: Apache-2.0
 *
 * ph_probe.h - places that a tracer can watch in a running process (USDT): an instruction that does
 * nothing, and a note in the library that says where it is. Without <sys/sdt.h>, or with
 * -Dprobes=disabled, they vanish. docs/guide/generations.md shows a bpftrace line.
 */
#ifndef PH_PROBE_H
#define PH_PROBE_H

#ifdef PH_PROBES
#include <sys/sdt.h>
#define PH_PROBE0(name)       DTRACE_PROBE(phantom, name)
#define PH_PROBE1(name, a)    DTRACE_PROBE1(phantom, name, a)
#define PH_PROBE2(name, a, b) DTRACE_PROBE2(phantom, name, a, b)
#else
#define PH_PROBE0(name)       ((void)0)
#define PH_PROBE1(name, a)    ((void)(a))
#define PH_PROBE2(name, a, b) ((void)(a), (void)(b))
#endif

#endif /* PH_PROBE_H */
