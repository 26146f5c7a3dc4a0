/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_output.h - a laid out and checked class to the bytes of its class file.
 */
#ifndef CC_OUTPUT_H
#define CC_OUTPUT_H

#include "cc_types.h"

/** Lower all methods of the class and serialise it. out->file is ph_alloc'ed. */
void cc_output_class(struct cc_session *session, struct cc_class *class,
                     struct compiler_class *out);

#endif /* CC_OUTPUT_H */
