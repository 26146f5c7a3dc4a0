/* SPDX-License-Identifier: Apache-2.0
 *
 * compiler.c - one run from sources to class files. Phases, each complete for all classes before
 * the next begins, so that the order of files and classes means nothing: parse, members, layout,
 * check, lower. A class first asked for in a later phase goes through the earlier ones at once.
 * Nothing is handed out when there was an error.
 */
#include "compiler.h"

#include "cc_check.h"
#include "cc_output.h"

#include "ph_check.h"
#include "ph_memory.h"

#include <errno.h>
#include <string.h>

static void stop_on_errors(struct cc_session *session)
{
    if (session->error_count > 0) {
        cc_escape(session, PHANTOM_ESOURCE);
    }
}

static void load_builtin_classes(struct cc_session *session)
{
    struct cc_source *source = cc_add_source(session, "(built-in classes)", cc_builtin_text,
                                             (uint32_t)strlen(cc_builtin_text));
    struct cc_unit *unit = cc_parse(session, source, true);
    cc_declare_unit(session, unit);
    PH_CHECK(session->error_count == 0);
}

static void parse_sources(struct cc_session *session)
{
    for (size_t i = 0; i < session->options->source_count; i++) {
        const struct compiler_source *source = &session->options->sources[i];
        if (source->size > COMPILER_MAX_SOURCE_BYTES) {
            cc_error(session, (struct cc_place){0}, "%s: larger than %d bytes", source->file_name,
                     COMPILER_MAX_SOURCE_BYTES);
            continue;
        }
        cc_add_unit(session, source->file_name, source->text, (uint32_t)source->size);
    }
    stop_on_errors(session);
}

/* Classes and units may be added while their imports are looked at. */
static void resolve_all(struct cc_session *session)
{
    uint32_t units = 0;
    uint32_t classes = 0;
    while (units < session->unit_count || classes < session->own_class_count) {
        if (units < session->unit_count) {
            struct cc_unit *unit = session->units[units++];
            for (uint32_t i = 0; i < unit->import_count; i++) {
                cc_resolve_name(session, unit, &unit->imports[i]);
            }
        } else {
            cc_resolve_members(session, session->own_classes[classes++]);
        }
    }
    stop_on_errors(session);
    for (uint32_t i = 0; i < session->own_class_count; i++) {
        cc_layout_class(session, session->own_classes[i]);
    }
    stop_on_errors(session);
}

static void check_class(struct cc_session *session, struct cc_class *class)
{
    cc_resolve_members(session, class);
    cc_layout_class(session, class);
    if (!class->is_interface) {
        cc_base_constructor(session, class, true);
    }
    for (uint32_t i = 0; i < class->method_count; i++) {
        struct cc_method *method = class->methods[i];
        if (method->syntax && method->syntax->has_body) {
            method->frame = cc_alloc(session, sizeof(*method->frame));
            cc_check_method(session, class, method, method->frame);
        }
    }
}

static void compile(struct cc_session *session, struct compiler_result *result)
{
    cc_init_types(session);
    load_builtin_classes(session);
    parse_sources(session);
    resolve_all(session);
    for (uint32_t i = 0; i < session->own_class_count; i++) {
        check_class(session, session->own_classes[i]);
    }
    stop_on_errors(session);
    if (session->own_class_count > 0) {
        result->classes = ph_zalloc(session->own_class_count, sizeof(*result->classes));
        if (!result->classes) {
            cc_escape(session, -ENOMEM);
        }
        result->class_count = session->own_class_count;
    }
    for (uint32_t i = 0; i < session->own_class_count; i++) {
        cc_output_class(session, session->own_classes[i], &result->classes[i]);
    }
    stop_on_errors(session);
}

static void drop_classes(struct compiler_result *result)
{
    for (size_t i = 0; i < result->class_count; i++) {
        ph_free(result->classes[i].name);
        ph_free(result->classes[i].file.data);
    }
    ph_free(result->classes);
    result->classes = NULL;
    result->class_count = 0;
}

void compiler_result_destroy(struct compiler_result *result)
{
    if (!result) {
        return;
    }
    drop_classes(result);
    ph_free(result->messages);
    ph_free(result);
}

/* The session and the result are allocated, so nothing that changes after setjmp() is a local. */
static int run_session(struct cc_session *session, struct compiler_result *result)
{
    int error = setjmp(session->escape);
    if (error == 0) {
        compile(session, result);
        return 0;
    }
    return error;
}

int compiler_run(const struct compiler_options *options, struct compiler_result **out)
{
    struct compiler_result *result = ph_zalloc(1, sizeof(*result));
    struct cc_session *session = ph_zalloc(1, sizeof(*session));
    int error = -ENOMEM;
    if (!result || !session) {
        goto out;
    }
    session->options = options;
    error = run_session(session, result);
    if (error) {
        drop_classes(result);
    }
    result->messages = session->messages ? session->messages : ph_strdup("");
    session->messages = NULL;
    result->error_count = session->error_count;
    result->warning_count = session->warning_count;
    if (!result->messages) {
        error = -ENOMEM;
    }
out:
    if (session) {
        cc_free_arena(session);
        bc_class_destroy(session->file_class);
        ph_free(session->file_bytes);
        ph_free(session);
    }
    if (error == 0 || error == PHANTOM_ESOURCE) {
        *out = result;
    } else {
        compiler_result_destroy(result);
    }
    return error;
}
