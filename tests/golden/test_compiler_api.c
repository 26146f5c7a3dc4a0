/* SPDX-License-Identifier: Apache-2.0
 *
 * test_compiler_api.c - what golden files cannot show: several sources at once, class files as
 * imports, limits, failing memory, line records.
 */
#include "ph_test.h"

#include "bc_class.h"
#include "compiler.h"

#include "ph_memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Files that exist in this test. */
struct file {
    const char *path;
    const void *data;
    size_t size;
};

struct files {
    struct file list[8];
    unsigned count;
    unsigned reads;
};

static int read_listed(void *context, const char *path, struct bc_bytes *out)
{
    struct files *files = context;
    for (unsigned i = 0; i < files->count; i++) {
        const struct file *file = &files->list[i];
        if (strcmp(file->path, path) == 0) {
            out->data = ph_alloc(file->size + 1);
            if (!out->data) {
                return -ENOMEM;
            }
            memcpy(out->data, file->data, file->size);
            out->size = (uint32_t)file->size;
            files->reads++;
            return 0;
        }
    }
    return -ENOENT;
}

static int run(const char *const *texts, unsigned count, struct files *files,
               struct compiler_result **result)
{
    static const char *const names[] = {"one.ph", "two.ph", "three.ph"};
    static const char *const folders[] = {"lib"};
    struct compiler_source sources[3];
    assert_true(count <= 3);
    for (unsigned i = 0; i < count; i++) {
        sources[i] = (struct compiler_source){
            .file_name = names[i], .text = texts[i], .size = strlen(texts[i])};
    }
    struct compiler_options options = {.sources = sources,
                                       .source_count = count,
                                       .import_folders = folders,
                                       .import_folder_count = 1,
                                       .read_file = files ? read_listed : NULL,
                                       .context = files};
    *result = NULL;
    return compiler_run(&options, result);
}

static struct compiler_result *compile(const char *text, struct files *files)
{
    struct compiler_result *result;
    int error = run(&text, 1, files, &result);
    if (error) {
        print_error("%s\n", result ? result->messages : phantom_strerror(error));
    }
    assert_int_equal(error, 0);
    return result;
}

/* The text must be refused with a message that holds `part`. */
static void refuse(const char *text, const char *part)
{
    struct compiler_result *result;
    assert_int_equal(run(&text, 1, NULL, &result), PHANTOM_ESOURCE);
    if (!strstr(result->messages, part)) {
        print_error("%.600s\n", result->messages);
    }
    assert_non_null(strstr(result->messages, part));
    assert_int_equal(result->class_count, 0);
    compiler_result_destroy(result);
}

static struct bc_class *read_class(const struct compiler_class *made)
{
    struct bc_class *class = NULL;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    assert_int_equal(bc_class_read(made->name, made->file.data, made->file.size, &class, &diag), 0);
    return class;
}

static const struct bc_method *method_of(const struct bc_class *class, const char *name)
{
    for (uint32_t i = 0; i < class->method_count; i++) {
        if (strcmp(class->methods[i].name, name) == 0) {
            return &class->methods[i];
        }
    }
    fail_msg("no method %s", name);
    return NULL;
}

static void classes_of_several_sources_may_need_each_other(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "package .p; class a extends b { c f; int x() { return f.z(this); } };",
        "package .p; class b { var n : int; a make() { return new a(); } };",
        "package .p; class c { int z(var o : b) { return o.make().x(); } };",
    };
    struct compiler_result *result;
    assert_int_equal(run(texts, 3, NULL, &result), 0);
    assert_int_equal(result->class_count, 3);
    assert_string_equal(result->classes[0].name, "p.a");
    struct bc_class *a = read_class(&result->classes[0]);
    assert_string_equal(a->parent, ".p.b");
    assert_int_equal(a->fields[0].slot, 1);
    assert_int_equal(a->object_slots, 2);
    bc_class_destroy(a);
    compiler_result_destroy(result);
}

static void a_class_file_is_all_an_importer_needs(void **state)
{
    (void)state;
    struct compiler_result *library = compile(
        "class .p.base { var f : int; string[] names() { return null; }"
        "  .p.base self() { return this; } int add(var x : int, var y : long) [30] { return x; }"
        "  void base(var n : int) { } void base() { } };"
        "class .p.middle extends .p.base { };",
        NULL);
    struct files files = {.count = 2};
    files.list[0] = (struct file){"lib/p.base.pc", library->classes[0].file.data,
                                  library->classes[0].file.size};
    files.list[1] = (struct file){"lib/p.middle.pc", library->classes[1].file.data,
                                  library->classes[1].file.size};
    struct compiler_result *user =
        compile("class .p.user extends .p.middle { var g : int; int add(var x : int, var y : long) "
                "{ f = names()[0].length() + self().self().add(1, 2); return f; } };",
                &files);
    assert_int_equal(user->class_count, 1);
    struct bc_class *class = read_class(&user->classes[0]);
    assert_int_equal(class->fields[0].slot, 1); /* f of the grandparent is slot 0 */
    assert_int_equal(method_of(class, "add")->ordinal, 30);
    assert_int_equal(class->method_slots, 31);
    bc_class_destroy(class);
    compiler_result_destroy(user);
    compiler_result_destroy(library);
}

static void a_damaged_or_misnamed_class_file_is_an_error(void **state)
{
    (void)state;
    struct compiler_result *library = compile("class .p.base { };", NULL);
    const char *text = "class .p.user extends .p.other { };";
    struct compiler_result *result;
    struct files files = {.count = 1};
    files.list[0] = (struct file){"lib/p.other.pc", library->classes[0].file.data,
                                  library->classes[0].file.size};
    assert_int_equal(run(&text, 1, &files, &result), PHANTOM_ESOURCE);
    assert_non_null(strstr(result->messages, "holds class '.p.base', not '.p.other'"));
    compiler_result_destroy(result);
    files.list[0].size -= 3;
    assert_int_equal(run(&text, 1, &files, &result), PHANTOM_ESOURCE);
    assert_non_null(strstr(result->messages, "lib/p.other.pc"));
    compiler_result_destroy(result);
    compiler_result_destroy(library);
}

static void class_files_that_descend_from_each_other_do_not_hang(void **state)
{
    (void)state;
    struct compiler_result *first = compile("class .p.b { }; class .p.a extends .p.b { };", NULL);
    struct compiler_result *second = compile("class .p.a { }; class .p.b extends .p.a { };", NULL);
    struct files files = {.count = 2};
    files.list[0] =
        (struct file){"lib/p.a.pc", first->classes[1].file.data, first->classes[1].file.size};
    files.list[1] =
        (struct file){"lib/p.b.pc", second->classes[1].file.data, second->classes[1].file.size};
    const char *text = "class .p.user extends .p.a { void m(var x : .p.b) { x = this; } };";
    struct compiler_result *result;
    int error = run(&text, 1, &files, &result);
    assert_true(error == 0 || error == PHANTOM_ESOURCE);
    compiler_result_destroy(result);
    compiler_result_destroy(first);
    compiler_result_destroy(second);
}

static void the_source_wins_over_a_class_file_of_the_same_name(void **state)
{
    (void)state;
    struct files files = {.count = 1};
    files.list[0] = (struct file){"lib/p.a.pc", "nonsense", 8};
    compiler_result_destroy(compile("class .p.b { var f : .p.a; }; class .p.a { };", &files));
    assert_int_equal(files.reads, 0);
}

static void a_missing_class_is_looked_for_once(void **state)
{
    (void)state;
    struct files files = {0};
    const char *text = "class .p.b { var f : .p.a; var g : .p.a; };";
    struct compiler_result *result;
    assert_int_equal(run(&text, 1, &files, &result), PHANTOM_ESOURCE);
    assert_int_equal(result->error_count, 2);
    compiler_result_destroy(result);
}

static void lines_are_ascending_and_name_the_statement(void **state)
{
    (void)state;
    struct compiler_result *result = compile("class .a {\r\n"
                                             "  int m(var n : int) {\r"
                                             "    n = 1;\n"
                                             "    while (n < 5)\n"
                                             "      n = m(\n"
                                             "        n);\n"
                                             "    return n;\n"
                                             "  }\n"
                                             "};\n",
                                             NULL);
    struct bc_class *class = read_class(&result->classes[0]);
    const struct bc_method *m = method_of(class, "m");
    static const uint32_t expected[] = {2, 3, 4, 5, 7};
    uint32_t found = 0;
    for (uint32_t i = 0; i < m->line_count; i++) {
        assert_true(i == 0 || m->lines[i].offset > m->lines[i - 1].offset);
        assert_true(m->lines[i].offset < m->code.size);
        if (found < 5 && m->lines[i].line == expected[found]) {
            found++;
        }
    }
    assert_int_equal(found, 5);
    bc_class_destroy(class);
    compiler_result_destroy(result);
}

static void the_same_source_gives_the_same_bytes(void **state)
{
    (void)state;
    const char *text =
        "interface .i { int x(); }; class .a implements .i { int x() { return 1; } };";
    struct compiler_result *first = compile(text, NULL);
    struct compiler_result *second = compile(text, NULL);
    assert_int_equal(first->classes[1].file.size, second->classes[1].file.size);
    assert_memory_equal(first->classes[1].file.data, second->classes[1].file.data,
                        first->classes[1].file.size);
    compiler_result_destroy(first);
    compiler_result_destroy(second);
}

/* head, then `count` copies of `part` with its number in place of %u, then tail. */
static char *repeated(const char *head, const char *part, unsigned count, const char *tail)
{
    char copy[64];
    size_t room = strlen(head) + count * (strlen(part) + 12) + strlen(tail) + 1;
    char *text = ph_alloc(room);
    assert_non_null(text);
    size_t size = (size_t)snprintf(text, room, "%s", head);
    const char *mark = strstr(part, "%u");
    for (unsigned i = 0; i < count; i++) {
        if (mark) {
            snprintf(copy, sizeof(copy), "%.*s%u%s", (int)(mark - part), part, i, mark + 2);
        } else {
            snprintf(copy, sizeof(copy), "%s", part);
        }
        size += (size_t)snprintf(text + size, room - size, "%s", copy);
    }
    snprintf(text + size, room - size, "%s", tail);
    return text;
}

static void limits_are_refused_with_a_message(void **state)
{
    (void)state;
    static const struct {
        const char *head, *part, *tail;
        unsigned count;
        const char *message;
    } cases[] = {
        {"class .a { void m(var p", ",var p%u", ") { } };", 254, "more than 254 parameters"},
        {"class .a { void m() { m(0", ",%u", "); } };", 254, "more than 254 arguments"},
        {"class .a { void m() { ", "var v%u:int;", "} };", 4097, "more than 4096 variables"},
        {"class .a { ", "var v%u:int;", "};", 4097, "more than 4096 fields or methods"},
        {"class .a { int m(var x:int) { switch(x) { ", "case %u:", "} } };", 4097,
         "more than 4096 cases"},
        {"class .a { int ", "abcdefgh", "() { } };", 40, "longer than 255"},
        {"class .a", ".bcdefgh", " { };", 60, "class name is too long"},
        {"class .c0 { };", "class .d%u extends .d%u{};", "", 0, NULL},
    };
    for (size_t i = 0; cases[i].message; i++) {
        char *text = repeated(cases[i].head, cases[i].part, cases[i].count, cases[i].tail);
        refuse(text, cases[i].message);
        ph_free(text);
    }
}

static void just_below_the_limits_compiles(void **state)
{
    (void)state;
    static const struct {
        const char *head, *part, *tail;
        unsigned count;
    } cases[] = {
        {"class .a { void m(var p", ",var p%u", ") { } };", 253},
        {"class .a { void m() { ", "var v%u:long;", "} };", 4000},
        {"class .a { ", "var v%u:int;", "void m() { v300 = v3000; } };", 4000},
        {"class .a { int m(var x:int) { switch(x) { ", "case %u:", "} return 1; } };", 4000},
        {"class .a { ", "void m%u() { }", "};", 4000},
        {"class .a { int m() { return 0", "+%u", "; } };", 390},
        {"class .a { void m(var x:int) { ", "if (x == %u) x = 1; else ", ";} };", 300},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = repeated(cases[i].head, cases[i].part, cases[i].count, cases[i].tail);
        compiler_result_destroy(compile(text, NULL));
        ph_free(text);
    }
}

static void a_chain_of_classes_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char text[300 * 40];
    size_t size = (size_t)snprintf(text, sizeof(text), "class .c0 { };");
    for (int i = 1; i < 290; i++) {
        size += (size_t)snprintf(text + size, sizeof(text) - size, "class .c%d extends .c%d { };",
                                 i, i - 1);
    }
    struct compiler_result *result;
    const char *source = text;
    assert_int_equal(run(&source, 1, NULL, &result), 0); /* in order: never long at once */
    compiler_result_destroy(result);
    size = 0;
    for (int i = 290; i > 0; i--) {
        size += (size_t)snprintf(text + size, sizeof(text) - size, "class .c%d extends .c%d { };",
                                 i, i - 1);
    }
    snprintf(text + size, sizeof(text) - size, "class .c0 { };");
    refuse(text, "classes above each other");
}

static void a_source_that_is_too_large_is_refused(void **state)
{
    (void)state;
    struct compiler_source source = {
        .file_name = "big.ph", .text = "", .size = COMPILER_MAX_SOURCE_BYTES + 1};
    struct compiler_options options = {.sources = &source, .source_count = 1};
    struct compiler_result *result;
    assert_int_equal(compiler_run(&options, &result), PHANTOM_ESOURCE);
    assert_non_null(strstr(result->messages, "big.ph: larger than"));
    compiler_result_destroy(result);
}

static void every_failing_allocation_is_reported_and_leaks_nothing(void **state)
{
    (void)state;
    const char *text = "class .p.user extends .p.base { int m(var x : int) { f = 1;"
                       " if (x) { return import \"data\".length(); } return y; } };";
    struct compiler_result *library = compile("class .p.base { var f : int; };", NULL);
    struct files files = {.count = 2};
    files.list[0] = (struct file){"lib/p.base.pc", library->classes[0].file.data,
                                  library->classes[0].file.size};
    files.list[1] = (struct file){"data", "contents", 8};
    int64_t before = ph_memory_live_blocks();
    bool failed = true;
    int64_t countdown = 0;
    for (; failed; countdown++) {
        struct compiler_result *result = NULL;
        ph_memory_fail_after(countdown, true);
        int error = run(&text, 1, &files, &result);
        failed = ph_memory_has_failed();
        ph_memory_fail_after(-1, false);
        assert_int_equal(error, failed ? -ENOMEM : PHANTOM_ESOURCE);
        assert_true(failed == (result == NULL));
        compiler_result_destroy(result);
        assert_int_equal(ph_memory_live_blocks(), before);
    }
    assert_true(countdown > 10);
    compiler_result_destroy(library);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_of_several_sources_may_need_each_other),
        cmocka_unit_test(a_class_file_is_all_an_importer_needs),
        cmocka_unit_test(a_damaged_or_misnamed_class_file_is_an_error),
        cmocka_unit_test(class_files_that_descend_from_each_other_do_not_hang),
        cmocka_unit_test(the_source_wins_over_a_class_file_of_the_same_name),
        cmocka_unit_test(a_missing_class_is_looked_for_once),
        cmocka_unit_test(lines_are_ascending_and_name_the_statement),
        cmocka_unit_test(the_same_source_gives_the_same_bytes),
        cmocka_unit_test(limits_are_refused_with_a_message),
        cmocka_unit_test(just_below_the_limits_compiles),
        cmocka_unit_test(a_chain_of_classes_that_is_too_long_is_refused),
        cmocka_unit_test(a_source_that_is_too_large_is_refused),
        cmocka_unit_test(every_failing_allocation_is_reported_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
