/* SPDX-License-Identifier: Apache-2.0
 * Rectangles, drawing, windows on the screen, text and events. PH_SEED= replays. */
#include "ph_test.h"

#include <errno.h>
#include <event.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <video/font.h>
#include <video/screen.h>
#include <video/vops.h>
#include <video/window.h>
#include <video/zbuf.h>

static bool inside(const rect_t *r, int x, int y)
{
    return x >= r->x && x < r->x + r->xsize && y >= r->y && y < r->y + r->ysize;
}

static void rectangles_agree_with_their_pixels(void **state)
{
    (void)state;
    const char *given = getenv("PH_SEED");
    unsigned int seed = given != NULL ? (unsigned int)strtoul(given, NULL, 0) : 4u;
    printf("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 3000; round++) {
        rect_t a = {rand() % 10, rand() % 10, rand() % 6, rand() % 6};
        rect_t b = {rand() % 10, rand() % 10, rand() % 6, rand() % 6};
        rect_t moved = {b.x, b.y, a.xsize, a.ysize};
        rect_t one, two;
        int second = rect_sub(&one, &two, &a, &moved);
        bool common = false;
        bool all = true;
        for (int y = -1; y < 20; y++) {
            for (int x = -1; x < 20; x++) {
                common |= inside(&a, x, y) && inside(&b, x, y);
                all &= !inside(&b, x, y) || inside(&a, x, y);
                bool uncovered = inside(&a, x, y) && !inside(&moved, x, y);
                bool told = inside(&one, x, y) || (second && inside(&two, x, y));
                assert_int_equal(uncovered, told);
            }
        }
        assert_int_equal(!!rect_intersects(&a, &b), common);
        assert_int_equal(!!rect_includes(&a, &b), all);
    }
    rect_t huge = {INT_MIN, INT_MIN, INT_MAX, INT_MAX};
    rect_t far = {INT_MAX, INT_MAX, INT_MAX, INT_MAX};
    assert_false(rect_intersects(&huge, &far));
}

static bool is(rgba_t a, rgba_t b)
{
    return a.r == b.r && a.g == b.g && a.b == b.b && a.a == b.a;
}

static rgba_t screen_at(int x, int y)
{
    rgba_t pixel = {0};
    rect_t part = {x, y, 1, 1};
    phantom_screen_read(&part, &pixel);
    return pixel;
}

static void windows_cover_each_other(void **state)
{
    (void)state;
    drv_video_window_t *a = drv_video_window_create(20, 10, 100, 50, COLOR_BLUE, "a", 0);
    drv_video_window_t *b =
        drv_video_window_create(20, 10, 110, 55, COLOR_YELLOW, "b", WFLAG_WIN_DECORATED);
    assert_non_null(a);
    assert_non_null(b);
    w_update(a);
    w_update(b);
    assert_true(is(screen_at(100, 50), COLOR_BLUE));
    assert_true(is(screen_at(112, 57), COLOR_YELLOW));
    w_to_top(a);
    assert_true(is(screen_at(112, 57), COLOR_BLUE));
    assert_true(is(screen_at(129, 64), COLOR_YELLOW));
    w_draw_pixel(a, 0, 0, COLOR_WHITE);
    assert_true(is(screen_at(100, 50), COLOR_BLUE)); /* not before the update */
    w_update(a);
    assert_true(is(screen_at(100, 50), COLOR_WHITE));
    w_move(a, -10, -5); /* partly outside */
    assert_true(is(screen_at(112, 57), COLOR_YELLOW));
    assert_true(is(screen_at(100, 50), COLOR_BLACK));
    assert_true(is(screen_at(9, 4), COLOR_BLUE));
    w_set_title(a, "other");
    assert_string_equal(a->title, "other");
    drv_video_window_free(b);
    assert_true(is(screen_at(112, 57), COLOR_BLACK));
    drv_video_window_free(a);
    assert_true(is(screen_at(9, 4), COLOR_BLACK));
    drv_video_window_free(NULL);
}

static void a_window_lives_in_restored_memory(void **state)
{
    (void)state;
    drv_video_window_t w;
    rgba_t pixels[8 * 4], restored[8 * 4];
    assert_int_equal(drv_video_window_bytes(8, 4), sizeof(pixels));
    drv_video_window_init(&w, pixels, 8, 4, 10, 20, COLOR_BLACK, 0, "w");
    w_fill(&w, COLOR_LIGHTGREEN);
    w_update(&w);
    drv_video_window_t saved = w;
    memcpy(restored, pixels, sizeof(pixels));
    drv_video_window_destroy(&w);
    assert_true(is(screen_at(10, 20), COLOR_BLACK));
    w_restart_init(&saved, restored); /* its old links mean nothing */
    assert_ptr_equal(saved.w_pixel, restored);
    w_restart_attach(&saved);
    assert_true(is(screen_at(10, 20), COLOR_LIGHTGREEN));
    assert_true(is(screen_at(17, 23), COLOR_LIGHTGREEN));
    drv_video_window_destroy(&saved);
    drv_video_window_destroy(&saved); /* again: nothing */
}

static void drawing_stays_inside(void **state)
{
    (void)state;
    enum { W = 16, H = 12 };
    struct {
        rgba_t before[W];
        rgba_t pixels[W * H];
        rgba_t after[W];
    } memory;
    memset(&memory, 0x5A, sizeof(memory));
    rgba_t guard[W];
    memset(guard, 0x5A, sizeof(guard));
    drv_video_window_t w;
    drv_video_window_init(&w, memory.pixels, W, H, 0, 0, COLOR_BLACK, 0, "w");
    const int far[] = {INT_MIN, INT_MIN + 1, -100, -1,  0,           1,      11,
                       12,      15,          16,   100, INT_MAX - 1, INT_MAX};
    size_t n = sizeof(far) / sizeof(far[0]);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            w_draw_pixel(&w, far[i], far[k], COLOR_WHITE);
            w_fill_box(&w, far[i], far[k], far[k], far[i], COLOR_WHITE);
            w_draw_box(&w, far[i], far[k], far[k], far[i], COLOR_WHITE);
            w_fill_ellipse(&w, far[i], far[k], far[k], far[i], COLOR_WHITE);
            w_draw_line(&w, far[i], far[k], far[k], far[i], COLOR_WHITE);
            w_draw_line(&w, far[i], 3, far[k], 5, COLOR_WHITE);
            w_scroll_hor(&w, far[i], far[k], far[k], far[i], far[i]);
            bitmap2bitmap(memory.pixels, W, H, far[i], far[k], memory.pixels, W, H, far[k], far[i],
                          far[i], far[k]);
        }
    }
    assert_memory_equal(memory.before, guard, sizeof(guard));
    assert_memory_equal(memory.after, guard, sizeof(guard));
    drv_video_window_destroy(&w);
    assert_int_equal(drv_video_window_bytes(0, 5), 0);
    assert_int_equal(drv_video_window_bytes(INT_MAX, INT_MAX), 0);
    assert_null(drv_video_window_create(-1, 5, 0, 0, COLOR_BLACK, "w", 0));
}

static void lines_and_boxes_are_where_they_should_be(void **state)
{
    (void)state;
    enum { W = 16, H = 12 };
    rgba_t p[W * H];
    drv_video_window_t w;
    drv_video_window_init(&w, p, W, H, 0, 0, COLOR_BLACK, 0, "w");
    w_draw_line(&w, 1, 1, 8, 8, COLOR_WHITE);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(is(p[i * W + i], COLOR_WHITE), i >= 1 && i <= 8);
    }
    w_clear(&w);
    w_draw_line(&w, 14, 2, -1000000, 2, COLOR_WHITE); /* from inside out */
    for (int x = 0; x < W; x++) {
        assert_int_equal(is(p[2 * W + x], COLOR_WHITE), x <= 14);
    }
    w_clear(&w);
    w_draw_box(&w, 2, 3, 4, 5, COLOR_WHITE);
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            bool in = x >= 2 && x < 6 && y >= 3 && y < 8;
            bool border = in && (x == 2 || x == 5 || y == 3 || y == 7);
            assert_int_equal(is(p[y * W + x], COLOR_WHITE), border);
        }
    }
    w_clear(&w);
    w_fill_ellipse(&w, 2, 2, 8, 6, COLOR_WHITE);
    assert_true(is(p[4 * W + 5], COLOR_WHITE) && !is(p[2 * W + 2], COLOR_WHITE));
    w_clear(&w);
    w_draw_pixel(&w, 3, 1, COLOR_WHITE);
    assert_int_equal(w_scroll_hor(&w, 2, 0, 6, 3, 2), 0);
    assert_true(is(p[W + 5], COLOR_WHITE));
    assert_int_equal(w_scroll_hor(&w, 12, 0, 6, 3, 2), EINVAL);
    drv_video_window_destroy(&w);
}

static int ink(const rgba_t *pixels, int count)
{
    int n = 0;
    for (int i = 0; i < count; i++) {
        n += is(pixels[i], COLOR_WHITE);
    }
    return n;
}

static void text_is_written_and_scrolls(void **state)
{
    (void)state;
    enum { W = 40, H = 32 }; /* five by two cells */
    rgba_t p[W * H];
    drv_video_window_t w;
    int x = 0;
    int y = 16;
    drv_video_window_init(&w, p, W, H, 0, 0, COLOR_BLACK, 0, "tty");
    w_font_tty_string(&w, &drv_video_8x16san_font, "A", COLOR_WHITE, COLOR_BLUE, &x, &y);
    assert_int_equal(x, 8);
    assert_int_equal(y, 16);
    assert_true(ink(p, W * H) > 10);
    assert_int_equal(ink(p, W * 16), 0); /* the lower line is empty */
    w_font_tty_string(&w, &drv_video_8x16san_font, "\nB", COLOR_WHITE, COLOR_BLUE, &x, &y);
    assert_int_equal(y, 0);
    int before = ink(p, W * 16);
    assert_true(before > 10);
    w_font_tty_string(&w, &drv_video_8x16san_font, "\n", COLOR_WHITE, COLOR_BLUE, &x, &y);
    assert_int_equal(y, 0); /* B went up, below it is room */
    assert_int_equal(ink(p, W * 16), 0);
    assert_int_equal(ink(p + W * 16, W * 16), before);
    w_font_tty_string(&w, &drv_video_8x16san_font, "123456", COLOR_WHITE, COLOR_BLUE, &x, &y);
    assert_int_equal(x, 8); /* the sixth is in the next line */
    w_font_tty_string(&w, &drv_video_8x16san_font, "\t\r\x01\xff", COLOR_WHITE, COLOR_BLUE, &x, &y);
    assert_int_equal(x, 16);
    x = INT_MAX - 100;
    w_font_tty_string(&w, &drv_video_8x16san_font, "z", COLOR_WHITE, COLOR_BLUE, &x, &y);
    assert_int_equal(x, 8);
    for (char c = '!'; c <= '~'; c++) { /* every character looks like something */
        char text[2] = {c, 0};
        w_clear(&w);
        x = 0;
        y = 0;
        w_font_tty_string(&w, &drv_video_8x16san_font, text, COLOR_WHITE, COLOR_BLACK, &x, &y);
        assert_true(ink(p, W * H) > 0);
    }
    drv_video_window_destroy(&w);
}

static int changes, events;

static void count_change(void *context, const rect_t *part)
{
    (void)context;
    assert_true(part->xsize > 0 && part->ysize > 0);
    changes++;
}

static void count_event(void *context, const ui_event_t *event)
{
    (void)context;
    assert_int_equal(event->w.info, UI_EVENT_GLOBAL_REPAINT_RECT);
    events++;
}

static void the_host_hears_of_changes_and_events(void **state)
{
    (void)state;
    changes = events = 0;
    window_handle_t background = w_get_bg_window();
    assert_non_null(background);
    assert_ptr_equal(w_get_bg_window(), background);
    assert_int_equal(background->xsize, scr_get_xsize());
    phantom_screen_on_change(count_change, NULL);
    phantom_on_event(count_event, NULL);
    w_fill(background, COLOR_LIGHTRED);
    w_update(background);
    assert_int_equal(changes, 1);
    assert_true(is(screen_at(3, 3), COLOR_LIGHTRED));
    w_fill(background, COLOR_BLUE);
    ui_event_t e = {.type = UI_EVENT_TYPE_GLOBAL};
    e.w.info = UI_EVENT_GLOBAL_REPAINT_RECT;
    e.w.rect = (rect_t){0, 0, 5, 5};
    ev_q_put_global(&e);
    assert_int_equal(events, 1);
    assert_int_equal(changes, 2);
    assert_true(is(screen_at(3, 3), COLOR_BLUE) && is(screen_at(5, 5), COLOR_LIGHTRED));
    e.w.rect = (rect_t){-100, -100, 5, 5}; /* nothing of it is on the screen */
    ev_q_put_global(&e);
    scr_zbuf_reset_square(INT_MAX, 0, 5, 5);
    assert_int_equal(changes, 2);
    scr_zbuf_reset_square(0, 0, 6, 6);
    assert_true(is(screen_at(5, 5), COLOR_BLUE));
    assert_int_equal(phantom_screen_resize(64, 48), 0);
    assert_int_equal(scr_get_ysize(), 48);
    assert_true(is(screen_at(63, 47), COLOR_BLUE));
    assert_int_equal(phantom_screen_resize(0, 5), EINVAL);
    rgba_t all[66 * 50];
    memset(all, 0x77, sizeof(all));
    rect_t beyond = {-1, -1, 66, 50};
    phantom_screen_read(&beyond, all);
    assert_int_equal(all[0].r, 0x77); /* outside is not touched */
    assert_true(is(all[66 + 1], COLOR_BLUE));
    phantom_screen_on_change(NULL, NULL);
    phantom_on_event(NULL, NULL);
    drv_video_window_free(background);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rectangles_agree_with_their_pixels),
        cmocka_unit_test(windows_cover_each_other),
        cmocka_unit_test(a_window_lives_in_restored_memory),
        cmocka_unit_test(drawing_stays_inside),
        cmocka_unit_test(lines_and_boxes_are_where_they_should_be),
        cmocka_unit_test(text_is_written_and_scrolls),
        cmocka_unit_test(the_host_hears_of_changes_and_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
