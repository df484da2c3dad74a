/*
 * Unit tests of migration/vmstate*.c: every kind of field, versions, subsections, errors,
 * hostile input.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration/stream-internal.h"
#include "migration/vmstate-internal.h"
#include "system/clock.h"
#include "util/util.h"

/* Save with the description; the bytes are in the returned stream. */
static Stream *save(const VMStateDescription *vmsd, void *state)
{
    Stream *s = stream_new_output_memory();
    Error *err = NULL;

    vmstate_save(s, vmsd, state, &err);
    g_assert_no_error(err);
    return s;
}

/* Load len bytes; everything must be consumed when it works. */
static bool load(const VMStateDescription *vmsd, void *state, const void *data, size_t len,
                 int version, char **ret_message)
{
    g_autoptr(Stream) s = stream_new_input_memory(data, len);
    g_autoptr(Error) err = NULL;
    bool ok = vmstate_load(s, vmsd, state, version, &err);

    g_assert_true(ok == (err == NULL));
    g_assert_true(!ok || stream_offset(s) == len);
    if (ret_message) {
        *ret_message = err ? g_strdup(err->message) : NULL;
    }
    return ok;
}

#define assert_load_refused(vmsd, state, data, len, version, part)                 \
    do {                                                                           \
        g_autofree char *message = NULL;                                           \
        g_assert_false(load(vmsd, state, data, len, version, &message));           \
        if (!strstr(message, part)) {                                              \
            g_error("'%s' is not in '%s'", part, message);                         \
        }                                                                          \
    } while (0)

#define assert_bytes(s, ...)                                                       \
    do {                                                                           \
        static const uint8_t expect_[] = { __VA_ARGS__ };                          \
        size_t len_;                                                               \
        const void *data_ = stream_memory_data(s, &len_);                          \
        g_assert_cmpmem(data_, len_, expect_, sizeof(expect_));                    \
    } while (0)

/* Every truncation of the bytes must be refused, without reading past them. */
static void check_truncations(const VMStateDescription *vmsd, void *state, Stream *saved)
{
    size_t len;
    const uint8_t *data = stream_memory_data(saved, &len);

    for (size_t n = 0; n < len; n++) {
        g_autofree uint8_t *copy = g_memdup2(data, MAX(n, 1));
        g_autofree char *message = NULL;
        g_assert_false(load(vmsd, state, copy, n, vmsd->version_id, &message));
        g_assert_nonnull(strstr(message, vmsd->name));
        g_assert_nonnull(strstr(message, "offset"));
    }
}

/* All the plain kinds. */

typedef struct Plain {
    bool b;
    int8_t i8;
    int16_t i16;
    int32_t i32;
    int64_t i64;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    uint16_t array[3];
    uint8_t buffer[4];
    Timer timer;
    unsigned long bits[2];
} Plain;

static const VMStateDescription vmstate_plain = {
    .name = "plain", .version_id = 1, .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_BOOL(b, Plain),
        VMSTATE_INT8(i8, Plain),
        VMSTATE_INT16(i16, Plain),
        VMSTATE_INT32(i32, Plain),
        VMSTATE_INT64(i64, Plain),
        VMSTATE_UINT8(u8, Plain),
        VMSTATE_UINT16(u16, Plain),
        VMSTATE_UINT32(u32, Plain),
        VMSTATE_UINT64(u64, Plain),
        VMSTATE_UINT16_ARRAY(array, Plain, 3),
        VMSTATE_UNUSED(3),
        VMSTATE_BUFFER(buffer, Plain),
        VMSTATE_TIMER(timer, Plain),
        { .name = "bits", .info = &vmstate_info_bitmap, .offset = offsetof(Plain, bits),
          .size = 70 },
        VMSTATE_END_OF_LIST()
    },
};

static void timer_cb(void *opaque)
{
}

static void test_plain(void)
{
    Plain a = { true, -2, -3, -4, -5, 6, 7, 8, 9, { 1, 2, 0x303 }, "abcd", { 0 },
                { 0x8000000000000001, 0x20 } };
    Plain b = { 0 };
    g_autoptr(Stream) s = NULL;
    const void *data;
    size_t len;

    timer_init(&a.timer, timer_cb, NULL);
    timer_init(&b.timer, timer_cb, NULL);
    a.timer.expire_ns = -1;
    s = save(&vmstate_plain, &a);
    assert_bytes(s, 1, 0xfe, 0xff, 0xfd, 0xff, 0xff, 0xff, 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff,
                 0xff, 0xff, 0xfb, 6, 0, 7, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 2, 3, 3,
                 0, 0, 0, 'a', 'b', 'c', 'd', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x20);
    data = stream_memory_data(s, &len);
    g_assert_true(load(&vmstate_plain, &b, data, len, 1, NULL));
    b.timer = a.timer;
    g_assert_cmpmem(&a, sizeof(a), &b, sizeof(b));
    check_truncations(&vmstate_plain, &b, s);
}

/* Versions and field tests. */

typedef struct Versioned {
    uint8_t old, since2, since3, tested;
    bool test;
    int loaded_version;
} Versioned;

static bool versioned_test(void *opaque, int version)
{
    return ((Versioned *)opaque)->test;
}

static bool versioned_post_load(void *opaque, int version, Error **errp)
{
    ((Versioned *)opaque)->loaded_version = version;
    return true;
}

static const VMStateDescription vmstate_versioned = {
    .name = "versioned", .version_id = 3, .minimum_version_id = 2,
    .post_load = versioned_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8(old, Versioned),
        VMSTATE_UINT8_V(since2, Versioned, 2),
        VMSTATE_UINT8_V(since3, Versioned, 3),
        VMSTATE_UINT8_TEST(tested, Versioned, versioned_test),
        VMSTATE_END_OF_LIST()
    },
};

static void test_versions(void)
{
    Versioned v = { 1, 2, 3, 4, false, 0 };
    g_autoptr(Stream) without = save(&vmstate_versioned, &v);
    v.test = true;
    g_autoptr(Stream) with = save(&vmstate_versioned, &v);

    assert_bytes(without, 1, 2, 3);
    assert_bytes(with, 1, 2, 3, 4);
    v = (Versioned){ .since3 = 77 };
    g_assert_true(load(&vmstate_versioned, &v, "\x11\x12", 2, 2, NULL));
    g_assert_cmpuint(v.since2, ==, 0x12);
    g_assert_cmpuint(v.since3, ==, 77);
    g_assert_cmpint(v.loaded_version, ==, 2);
    assert_load_refused(&vmstate_versioned, &v, "abc", 3, 1, "version 1");
    assert_load_refused(&vmstate_versioned, &v, "abcd", 4, 4, "2 to 3 can be loaded");
    assert_load_refused(&vmstate_versioned, &v, "abcd", 4, -1, "version -1");
}

/* What must be equal. */

typedef struct Equal {
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    int32_t i32, le;
} Equal;

static bool equal_valid(void *opaque, int version)
{
    return ((Equal *)opaque)->le != 13;
}

static const VMStateDescription vmstate_equal = {
    .name = "equal", .version_id = 0,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8_EQUAL(u8, Equal),
        VMSTATE_UINT16_EQUAL(u16, Equal),
        VMSTATE_UINT32_EQUAL(u32, Equal),
        VMSTATE_UINT64_EQUAL(u64, Equal),
        VMSTATE_INT32_EQUAL(i32, Equal),
        VMSTATE_SINGLE_FULL(le, Equal, NULL, 0, vmstate_info_int32_le, int32_t),
        VMSTATE_VALIDATE("le is not unlucky", equal_valid),
        VMSTATE_END_OF_LIST()
    },
};

static void test_equal(void)
{
    Equal a = { 1, 2, 3, 4, 5, 100 }, b = a;
    g_autoptr(Stream) s = save(&vmstate_equal, &a);
    size_t len;
    const void *data = stream_memory_data(s, &len);

    g_assert_true(load(&vmstate_equal, &b, data, len, 0, NULL));
    check_truncations(&vmstate_equal, &b, s);
    b.u16 = 9;
    assert_load_refused(&vmstate_equal, &b, data, len, 0,
                        "equal/u16 at offset 1: the stream has 2");
    b.u16 = 2;
    b.u64 = 7;
    assert_load_refused(&vmstate_equal, &b, data, len, 0, "equal/u64 at offset 7");
    b.u64 = 4;
    b.le = 99;
    assert_load_refused(&vmstate_equal, &b, data, len, 0, "this side takes 0 to 99");
    a.le = 13;
    b.le = 200;
    g_autoptr(Stream) t = stream_new_output_memory();
    g_autoptr(Error) err = NULL;
    g_assert_false(vmstate_save(t, &vmstate_equal, &a, &err));
    g_assert_nonnull(strstr(err->message, "le is not unlucky"));
    g_autofree uint8_t *copy = g_memdup2(data, len);
    copy[len - 1] = 13;
    assert_load_refused(&vmstate_equal, &b, copy, len, 0, "does not satisfy 'le is not unlucky'");
    copy[len - 4] = 0xff;
    assert_load_refused(&vmstate_equal, &b, copy, len, 0, "takes 0 to");
}

/* Structures, arrays of them, counts from other fields, pointers. */

typedef struct Inner {
    uint8_t x;
    uint16_t y;
} Inner;

typedef struct Outer {
    Inner one;
    Inner fixed[2];
    uint32_t n;
    Inner counted[4];
    uint8_t n8;
    uint16_t numbers[3];
    uint32_t len;
    uint8_t *blob;
    Inner *behind;
    Inner *table[3];
} Outer;

static const VMStateDescription vmstate_inner = {
    .name = "inner", .version_id = 1, .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8(x, Inner), VMSTATE_UINT16(y, Inner), VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_outer = {
    .name = "outer", .version_id = 1, .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_STRUCT(one, Outer, 0, vmstate_inner, Inner),
        VMSTATE_STRUCT_ARRAY(fixed, Outer, 2, 0, vmstate_inner, Inner),
        VMSTATE_UINT32(n, Outer),
        VMSTATE_STRUCT_VARRAY(counted, Outer, n, 4, 0, vmstate_inner, Inner),
        VMSTATE_UINT8(n8, Outer),
        VMSTATE_VARRAY_FULL(numbers, Outer, n8, 3, 0, vmstate_info_uint16, uint16_t),
        VMSTATE_UINT32(len, Outer),
        VMSTATE_VBUFFER_ALLOC_UINT32(blob, Outer, 0, len, 1000),
        { .name = "behind", .vmsd = &vmstate_inner, .size = sizeof(Inner),
          .flags = VMS_STRUCT | VMS_POINTER, .offset = offsetof(Outer, behind) },
        { .name = "table", .vmsd = &vmstate_inner, .size = sizeof(Inner), .num = 3,
          .flags = VMS_STRUCT | VMS_ARRAY | VMS_ARRAY_OF_POINTER,
          .offset = offsetof(Outer, table) },
        VMSTATE_END_OF_LIST()
    },
};

static void test_structs(void)
{
    Inner in[4] = { { 20, 21 }, { 30, 31 }, { 40, 41 }, { 0, 0 } };
    Inner in2[4] = { { 0, 0 } };
    uint8_t blob[] = { 0xaa, 0xbb };
    Outer a = { { 1, 2 }, { { 3, 4 }, { 5, 6 } }, 1, { { 7, 8 } }, 2, { 9, 10, 99 }, 2, blob,
                &in[0], { &in[1], NULL, &in[2] } };
    Outer b = { .behind = &in2[0], .table = { &in2[1], NULL, &in2[2] },
                .blob = g_malloc(17), .numbers = { 0, 0, 55 } };
    g_autoptr(Stream) s = save(&vmstate_outer, &a);
    size_t len;
    const uint8_t *data = stream_memory_data(s, &len);

    assert_bytes(s, 1, 0, 2, 3, 0, 4, 5, 0, 6, 0, 0, 0, 1, 7, 0, 8, 2, 0, 9, 0, 10, 0, 0, 0, 2,
                 0xaa, 0xbb, 20, 0, 21, 30, 0, 31, 0x30, 40, 0, 41);
    g_assert_true(load(&vmstate_outer, &b, data, len, 1, NULL));
    g_assert_cmpmem(b.fixed, sizeof(b.fixed), a.fixed, sizeof(a.fixed));
    g_assert_cmpuint(b.counted[0].y, ==, 8);
    g_assert_cmpuint(b.numbers[1], ==, 10);
    g_assert_cmpuint(b.numbers[2], ==, 55);
    g_assert_cmpmem(b.blob, 2, blob, 2);
    g_assert_cmpuint(in2[0].y, ==, 21);
    g_assert_cmpuint(in2[2].y, ==, 41);
    check_truncations(&vmstate_outer, &b, s);

    g_autofree uint8_t *copy = g_memdup2(data, len);
    copy[12] = 5; /* n */
    assert_load_refused(&vmstate_outer, &b, copy, len, 1, "5 elements where at most 4 fit");
    copy[9] = 0xff;
    assert_load_refused(&vmstate_outer, &b, copy, len, 1, "at most 4 fit");
    memcpy(copy, data, len);
    copy[16] = 4; /* n8 */
    assert_load_refused(&vmstate_outer, &b, copy, len, 1, "outer/numbers at offset 17");
    memcpy(copy, data, len);
    copy[22] = 1; /* len */
    assert_load_refused(&vmstate_outer, &b, copy, len, 1, "where at most 1000 fit");
    memcpy(copy, data, len);
    copy[33] = 0x31;
    assert_load_refused(&vmstate_outer, &b, copy, len, 1, "not there on this side");
    b.behind = NULL;
    assert_load_refused(&vmstate_outer, &b, data, len, 1, "outer/behind at offset 27");
    g_free(b.blob);
}

/* Subsections. */

typedef struct Sub {
    uint8_t base, first, second, nested;
    bool need_first, need_second;
    char calls[64];
} Sub;

static bool first_needed(void *opaque)
{
    return ((Sub *)opaque)->need_first;
}

static bool second_needed(void *opaque)
{
    return ((Sub *)opaque)->need_second;
}

static bool first_pre_load(void *opaque, Error **errp)
{
    strcat(((Sub *)opaque)->calls, "pre-first ");
    return true;
}

static bool first_post_load(void *opaque, int version, Error **errp)
{
    Sub *s = opaque;
    strcat(s->calls, "post-first ");
    if (s->first == 0xee) {
        error_setg(errp, "first cannot be 0xee");
        return false;
    }
    return true;
}

static bool sub_pre_load(void *opaque, Error **errp)
{
    Sub *s = opaque;
    s->first = s->second = 0xdd; /* defaults for what does not come */
    strcat(s->calls, "pre ");
    return true;
}

static bool sub_post_load(void *opaque, int version, Error **errp)
{
    strcat(((Sub *)opaque)->calls, "post");
    return true;
}

static bool sub_pre_save(void *opaque, Error **errp)
{
    if (((Sub *)opaque)->base == 0xff) {
        error_setg(errp, "base cannot be saved");
        return false;
    }
    return true;
}

static void sub_post_save(void *opaque)
{
    strcat(((Sub *)opaque)->calls, "saved");
}

static const VMStateDescription vmstate_sub_nested = {
    .name = "sub/second/nested", .version_id = 1, .minimum_version_id = 1,
    .fields = (const VMStateField[]){ VMSTATE_UINT8(nested, Sub), VMSTATE_END_OF_LIST() },
};
static const VMStateDescription vmstate_sub_first = {
    .name = "sub/first", .version_id = 2, .minimum_version_id = 2, .needed = first_needed,
    .pre_load = first_pre_load, .post_load = first_post_load,
    .fields = (const VMStateField[]){ VMSTATE_UINT8(first, Sub), VMSTATE_END_OF_LIST() },
};
static const VMStateDescription vmstate_sub_second = {
    .name = "sub/second", .version_id = 1, .minimum_version_id = 1, .needed = second_needed,
    .fields = (const VMStateField[]){ VMSTATE_UINT8(second, Sub), VMSTATE_END_OF_LIST() },
    .subsections = (const VMStateDescription *const[]){ &vmstate_sub_nested, NULL },
};
static const VMStateDescription vmstate_sub = {
    .name = "sub", .version_id = 1, .minimum_version_id = 1,
    .pre_load = sub_pre_load, .post_load = sub_post_load, .pre_save = sub_pre_save,
    .post_save = sub_post_save,
    .fields = (const VMStateField[]){ VMSTATE_UINT8(base, Sub), VMSTATE_END_OF_LIST() },
    .subsections = (const VMStateDescription *const[]){ &vmstate_sub_first, &vmstate_sub_second,
                                                        NULL },
};

#define FIRST 5, 9, 's', 'u', 'b', '/', 'f', 'i', 'r', 's', 't', 0, 0, 0, 2
#define SECOND 5, 10, 's', 'u', 'b', '/', 's', 'e', 'c', 'o', 'n', 'd', 0, 0, 0, 1
#define NESTED 5, 17, 's', 'u', 'b', '/', 's', 'e', 'c', 'o', 'n', 'd', '/', 'n', 'e', 's', 't', \
               'e', 'd', 0, 0, 0, 1

static void test_subsections(void)
{
    Sub a = { 1, 2, 3, 4, true, true, "" }, b = { 0 };
    g_autoptr(Stream) s = save(&vmstate_sub, &a);
    static const uint8_t swapped[] = { 1, SECOND, 3, NESTED, 4, FIRST, 2 };
    static const uint8_t none[] = { 9 };
    size_t len;
    const uint8_t *data = stream_memory_data(s, &len);

    assert_bytes(s, 1, FIRST, 2, SECOND, 3, NESTED, 4);
    g_assert_cmpstr(a.calls, ==, "saved");
    g_assert_true(load(&vmstate_sub, &b, data, len, 1, NULL));
    g_assert_cmpmem(&b, 4, &a, 4);
    g_assert_cmpstr(b.calls, ==, "pre pre-first post-first post");
    b = (Sub){ 0 };
    g_assert_true(load(&vmstate_sub, &b, swapped, sizeof(swapped), 1, NULL));
    g_assert_cmpmem(&b, 4, &a, 4);
    b = (Sub){ 0 };
    g_assert_true(load(&vmstate_sub, &b, none, sizeof(none), 1, NULL));
    g_assert_cmpuint(b.first, ==, 0xdd);

    a.need_first = a.need_second = false;
    g_autoptr(Stream) without = save(&vmstate_sub, &a);
    assert_bytes(without, 1);
}

/* Load from `data` and say how much was consumed. */
static bool load_part(Sub *b, const uint8_t *data, size_t len, uint64_t *ret_used, Error **errp)
{
    g_autoptr(Stream) s = stream_new_input_memory(data, len);
    bool ok = vmstate_load(s, &vmstate_sub, b, 1, errp);

    *ret_used = stream_offset(s);
    return ok;
}

static void test_subsection_edges(void)
{
    static const uint8_t unknown[] = { 1, 5, 9, 's', 'u', 'b', '/', 'o', 't', 'h', 'e', 'r', 0, 0,
                                       0, 1 };
    static const uint8_t version[] = { 1, 5, 9, 's', 'u', 'b', '/', 'f', 'i', 'r', 's', 't', 0, 0,
                                       0, 3, 1 };
    static const uint8_t outer[] = { 1, 5, 7, 'p', 'a', 'r', '/', 's', 'u', 'b', 0, 0, 0, 1 };
    static const uint8_t shorter[] = { 1, 5, 3, 's', 'u', 'b', 0, 0, 0, 1 };
    static const uint8_t footer[] = { 1, 0x7e, 0, 0, 0, 5 };
    static const uint8_t cut[] = { 1, 5, 200, 's', 'u', 'b' };
    static const uint8_t bad[] = { 1, FIRST, 0xee };
    static const uint8_t again[] = { 1, FIRST, 2, SECOND, 3, NESTED, 4, FIRST, 2 };
    uint64_t used;
    Sub b = { 0 };

    assert_load_refused(&vmstate_sub, &b, unknown, sizeof(unknown), 1,
                        "sub: unknown subsection 'sub/other' at offset 1");
    b = (Sub){ 0 };
    assert_load_refused(&vmstate_sub, &b, version, sizeof(version), 1, "sub/first: version 3");
    b = (Sub){ 0 };
    assert_load_refused(&vmstate_sub, &b, bad, sizeof(bad), 1, "sub/first: first cannot be 0xee");
    b = (Sub){ 0 };
    assert_load_refused(&vmstate_sub, &b, again, sizeof(again), 1,
                        "sub: subsection 'sub/first' comes again");
    /* What is not ours is left for whoever comes next. */
    const struct {
        const uint8_t *data;
        size_t len;
    } left[] = { { outer, sizeof(outer) }, { shorter, sizeof(shorter) },
                 { footer, sizeof(footer) }, { cut, sizeof(cut) } };
    for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
        b = (Sub){ 0 };
        g_assert_true(load_part(&b, left[i].data, left[i].len, &used, NULL));
        g_assert_cmpuint(used, ==, 1);
    }
    /* A subsection that is cut short. */
    static const uint8_t whole[] = { 1, FIRST, 2, SECOND, 3, NESTED, 4 };
    for (size_t n = 0; n < sizeof(whole); n++) {
        g_autofree uint8_t *copy = g_memdup2(whole, MAX(n, 1));
        g_autoptr(Error) err = NULL;
        b = (Sub){ 0 };
        bool ok = load_part(&b, copy, n, &used, &err);
        g_assert_true(ok || err);
        g_assert_cmpuint(used, <=, n);
        g_assert_true(!ok || used < n || n == 1 || n == 17 || n == 34);
    }

    Sub a = { .base = 0xff };
    g_autoptr(Stream) s = stream_new_output_memory();
    g_autoptr(Error) err = NULL;
    g_assert_false(vmstate_save(s, &vmstate_sub, &a, &err));
    g_assert_cmpstr(err->message, ==, "sub: base cannot be saved");
    g_assert_cmpstr(a.calls, ==, "");
}

static void test_unmigratable(void)
{
    static const VMStateField none[] = { VMSTATE_END_OF_LIST() };
    static const VMStateDescription vmsd = {
        .name = "stuck", .unmigratable = true, .fields = none,
    };
    g_autoptr(Stream) s = stream_new_output_memory();
    g_autoptr(Error) err = NULL;

    g_assert_false(vmstate_save(s, &vmsd, &s, &err));
    g_assert_nonnull(strstr(err->message, "'stuck' cannot be migrated"));
    assert_load_refused(&vmsd, &s, "", 0, 0, "cannot be migrated");
}

/* The JSON description. */

typedef struct Twice {
    uint16_t wide;
    uint8_t narrow;
} Twice;

static bool never(void *opaque, int version)
{
    return false;
}

static const VMStateDescription vmstate_twice = {
    .name = "twice", .version_id = 4,
    .fields = (const VMStateField[]){
        { .name = "x", .info = &vmstate_info_uint16, .size = 2, .field_exists = never },
        { .name = "x", .info = &vmstate_info_uint8, .size = 1, .offset = offsetof(Twice, narrow) },
        VMSTATE_END_OF_LIST()
    },
};

static char *describe(const VMStateDescription *vmsd, void *state)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    g_autoptr(JsonNode) root = NULL;
    g_autoptr(Stream) s = stream_new_output_memory();

    json_builder_begin_object(json);
    g_assert_true(vmstate_save_described(s, vmsd, state, json, NULL));
    json_builder_end_object(json);
    root = json_builder_get_root(json);
    return json_to_string(root, false);
}

static void test_description(void)
{
    Twice t = { 0, 1 };
    Inner in[3] = { { 0, 0 } };
    Outer o = { .n = 1, .behind = in, .table = { in, NULL, in } };
    Sub sub = { .need_second = true };
    g_autofree char *twice = describe(&vmstate_twice, &t);
    g_autofree char *outer = describe(&vmstate_outer, &o);
    g_autofree char *subs = describe(&vmstate_sub, &sub);
#define INNER "\"struct\":{\"vmsd_name\":\"inner\",\"version\":1,\"fields\":[" \
              "{\"name\":\"x\",\"type\":\"uint8\",\"size\":1}," \
              "{\"name\":\"y\",\"type\":\"uint16\",\"size\":2}]},\"size\":3}"

    g_assert_cmpstr(twice, ==, "{\"vmsd_name\":\"twice\",\"version\":4,\"fields\":["
                    "{\"name\":\"x[1]\",\"type\":\"uint8\",\"size\":1}]}");
    g_assert_cmpstr(outer, ==, "{\"vmsd_name\":\"outer\",\"version\":1,\"fields\":["
                    "{\"name\":\"one\",\"type\":\"struct\"," INNER ","
                    "{\"name\":\"fixed\",\"array_len\":2,\"type\":\"struct\"," INNER ","
                    "{\"name\":\"n\",\"type\":\"uint32\",\"size\":4},"
                    "{\"name\":\"counted\",\"type\":\"struct\"," INNER ","
                    "{\"name\":\"n8\",\"type\":\"uint8\",\"size\":1},"
                    "{\"name\":\"len\",\"type\":\"uint32\",\"size\":4},"
                    "{\"name\":\"behind\",\"type\":\"struct\"," INNER ","
                    "{\"name\":\"table\",\"index\":0,\"type\":\"struct\"," INNER ","
                    "{\"name\":\"table\",\"index\":1,\"type\":\"ptr-marker\",\"size\":1},"
                    "{\"name\":\"table\",\"index\":2,\"type\":\"struct\"," INNER "]}");
    g_assert_cmpstr(subs, ==, "{\"vmsd_name\":\"sub\",\"version\":1,\"fields\":["
                    "{\"name\":\"base\",\"type\":\"uint8\",\"size\":1}],\"subsections\":["
                    "{\"vmsd_name\":\"sub/second\",\"version\":1,\"fields\":["
                    "{\"name\":\"second\",\"type\":\"uint8\",\"size\":1}],\"subsections\":["
                    "{\"vmsd_name\":\"sub/second/nested\",\"version\":1,\"fields\":["
                    "{\"name\":\"nested\",\"type\":\"uint8\",\"size\":1}]}]}]}");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmstate/plain", test_plain);
    g_test_add_func("/vmstate/versions", test_versions);
    g_test_add_func("/vmstate/equal", test_equal);
    g_test_add_func("/vmstate/structs", test_structs);
    g_test_add_func("/vmstate/subsections", test_subsections);
    g_test_add_func("/vmstate/subsection-edges", test_subsection_edges);
    g_test_add_func("/vmstate/unmigratable", test_unmigratable);
    g_test_add_func("/vmstate/description", test_description);
    return g_test_run();
}
