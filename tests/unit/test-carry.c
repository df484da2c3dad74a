/*
 * Unit tests of the files that carry the rest of a postcopy: layout, every part of one damaged or
 * not possible, pages into a file and back, the name that it gets at the end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "migration/carry/file.h"
#include "migration/wire.h"
#include "system/ramblock.h"
#include "util/util.h"

#define PAGE TARGET_PAGE_SIZE

static const uint8_t uuid[16] = { 1, 2, 3 }, other_uuid[16] = { 4 }, no_uuid[16];
static const uint8_t attempt[CARRY_ATTEMPT_LEN] = "attempt one", other[CARRY_ATTEMPT_LEN] = "two";

/* 70 pages, so that the last chunk has 6; and a block of huge pages. */
static CarryGuest *guest_new(const uint8_t *id, const uint8_t *with_uuid)
{
    CarryGuest *g = carry_guest_new(id, with_uuid, "pc", 2);

    carry_guest_set_block(g, 0, "a", 70 * PAGE, PAGE);
    carry_guest_set_block(g, 1, "big", 2 * MiB, 2 * MiB);
    return g;
}

/* ---- header ---- */

typedef struct Parts {
    CarryGuest *g;
    CarryHead head;
    GByteArray *tables;
} Parts;

static void add_chunk(Parts *p, uint32_t block, uint32_t index, uint64_t present, uint64_t zero)
{
    CarryChunk c = { .block = block, .index = index, .present = present, .zero = zero,
                     .offset = p->head.file_len };
    uint8_t entry[CARRY_CHUNK_LEN];

    carry_chunk_encode(entry, &c);
    g_byte_array_append(p->tables, entry, sizeof(entry));
    p->head.n_chunks++;
    p->head.pages += __builtin_popcountll(present);
    p->head.file_len += __builtin_popcountll(present & ~zero) * PAGE;
}

/* Three chunks, 10 pages, 3 of them zero. */
static Parts parts_new(void)
{
    Parts p = { .g = guest_new(attempt, uuid) };

    p.head = carry_head_for(p.g, CARRY_REST);
    p.tables = carry_tables_new(p.g);
    p.head.file_len = PAGE;
    add_chunk(&p, 0, 0, 7, 2);
    add_chunk(&p, 0, 1, 0x30, 0);
    add_chunk(&p, 1, 7, 0x8000000000000055, 0x50);
    carry_head_set_tables(&p.head, p.tables);
    return p;
}

static void parts_clear(Parts *p)
{
    carry_guest_free(p->g);
    g_byte_array_unref(p->tables);
}

static bool check(const Parts *p, const CarryGuest *g, CarryKind kind, Error **errp)
{
    uint8_t buf[CARRY_HEADER_LEN];
    const uint8_t *rest;
    CarryHead h;

    carry_head_encode(buf, &p->head);
    return carry_head_check(buf, g, kind, &h, errp) &&
           carry_tables_check(p->tables->data, &h, g, &rest, errp);
}

static void refused(const Parts *p, const CarryGuest *g, CarryKind kind, const char *part)
{
    g_autoptr(Error) err = NULL;

    g_assert_false(check(p, g, kind, &err));
    if (!strstr(err->message, part)) {
        g_error("refused as '%s', without '%s'", err->message, part);
    }
}

static void test_good(void)
{
    Parts p = parts_new();
    uint8_t buf[CARRY_HEADER_LEN], again[CARRY_HEADER_LEN];
    CarryHead h;

    g_assert_true(check(&p, p.g, CARRY_REST, NULL));
    carry_head_encode(buf, &p.head);
    g_assert_true(carry_head_check(buf, p.g, CARRY_REST, &h, NULL));
    carry_head_encode(again, &h);
    g_assert_cmpmem(again, sizeof(again), buf, sizeof(buf));
    g_assert_cmpmem(buf, 16, "FerryRst\0\0\0\1\0\0\0\1", 16);
    g_assert_cmpmem(buf + 16, 12, attempt, 12);
    g_assert_cmpuint(h.pages_at, ==, PAGE);
    parts_clear(&p);
}

/* Every byte counts. */
static void test_header_damaged(void)
{
    Parts p = parts_new();
    uint8_t buf[CARRY_HEADER_LEN];
    CarryHead h;

    carry_head_encode(buf, &p.head);
    for (unsigned i = 0; i < sizeof(buf); i++) {
        g_autoptr(Error) err = NULL;

        buf[i] ^= 0x10;
        g_assert_false(carry_head_check(buf, p.g, CARRY_REST, &h, &err));
        g_assert_nonnull(strstr(err->message, i < 8 ? "does not begin" : i < 12 ? "version"
                                                                             : "damaged"));
        buf[i] ^= 0x10;
    }
    parts_clear(&p);
}

static void test_tables_damaged(void)
{
    Parts p = parts_new();

    for (unsigned i = 0; i < p.tables->len; i++) {
        p.tables->data[i] ^= 1;
        refused(&p, p.g, CARRY_REST, "tables are damaged");
        p.tables->data[i] ^= 1;
    }
    parts_clear(&p);
}

static void test_owner(void)
{
    Parts p = parts_new();
    g_autoptr(CarryGuest) later = guest_new(other, uuid), anonymous = guest_new(other, no_uuid);
    g_autoptr(CarryGuest) stranger = guest_new(other, other_uuid);
    g_autoptr(CarryGuest) renamed = guest_new(attempt, other_uuid);

    refused(&p, later, CARRY_REST, "another attempt to migrate a guest with UUID 01020300");
    refused(&p, anonymous, CARRY_REST, "another attempt");
    refused(&p, stranger, CARRY_REST, "another guest: its UUID is 01020300");
    refused(&p, p.g, CARRY_RECEIVED, "it holds the rest of a guest's memory");
    /* Who has the attempt has the guest, whatever UUID he was given. */
    g_assert_true(check(&p, renamed, CARRY_REST, NULL));
    parts_clear(&p);
}

/* Written by somebody who can make digests. */
static void test_sizes(void)
{
    static const struct {
        size_t field;
        int64_t add;
        const char *part;
    } bad[] = {
        { offsetof(CarryHead, n_chunks), 1, "which is not what" },
        { offsetof(CarryHead, n_chunks), 8, "makes at most 10" },
        { offsetof(CarryHead, n_chunks), 1LL << 58, "makes at most" },
        { offsetof(CarryHead, tables_len), 1LL << 40, "its tables have" },
        { offsetof(CarryHead, tables_len), -1, "its tables are damaged" },
        { offsetof(CarryHead, tables_len), -1000, "its tables have" },
        { offsetof(CarryHead, pages_at), 4096, "not behind its tables" },
        { offsetof(CarryHead, pages_at), 1, "not behind its tables" },
        { offsetof(CarryHead, file_len), 4096, "its header says" },
        { offsetof(CarryHead, file_len), INT64_MIN, "its header says" },
        { offsetof(CarryHead, pages), 1, "its header says" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        Parts p = parts_new();

        *(uint64_t *)((uint8_t *)&p.head + bad[i].field) += bad[i].add;
        refused(&p, p.g, CARRY_REST, bad[i].part);
        parts_clear(&p);
    }
}

static void test_blocks(void)
{
    Parts p = parts_new();
    g_autoptr(CarryGuest) more = carry_guest_new(attempt, uuid, "pc", 3);
    g_autoptr(CarryGuest) name = guest_new(attempt, uuid), length = guest_new(attempt, uuid);
    g_autoptr(CarryGuest) page = guest_new(attempt, uuid), machine = guest_new(attempt, uuid);

    for (unsigned i = 0; i < 3; i++) {
        carry_guest_set_block(more, i, "x", 1 * MiB, PAGE);
    }
    refused(&p, more, CARRY_REST, "2 RAM blocks, this machine 3");
    name->blocks[1].name[0] = 'p';
    refused(&p, name, CARRY_REST, "RAM block 'big' where this machine has 'pig'");
    length->blocks[0].length += PAGE;
    refused(&p, length, CARRY_REST, "RAM block 'a' has another length");
    page->blocks[1].page_size = PAGE;
    refused(&p, page, CARRY_REST, "RAM block 'big' has another length or page size");
    machine->machine[0] = 'q';
    refused(&p, machine, CARRY_REST, "machine type 'pc' where");
    parts_clear(&p);
}

static void refused_chunks(void (*spoil)(uint8_t *chunks), const char *part)
{
    Parts p = parts_new();

    spoil(p.tables->data + p.tables->len - 3 * CARRY_CHUNK_LEN);
    carry_head_set_tables(&p.head, p.tables);
    refused(&p, p.g, CARRY_REST, part);
    parts_clear(&p);
}

static void spoil_block(uint8_t *c)
{
    wire_put_be32(c + 2 * CARRY_CHUNK_LEN, 2);
}

static void spoil_index(uint8_t *c)
{
    wire_put_be32(c + 2 * CARRY_CHUNK_LEN + 4, 8);
}

static void spoil_order(uint8_t *c)
{
    wire_put_be32(c + CARRY_CHUNK_LEN + 4, 0);
}

static void spoil_present(uint8_t *c) /* page 70 of 70 */
{
    wire_put_be64(c + CARRY_CHUNK_LEN + 8, 0x50);
}

static void spoil_empty(uint8_t *c)
{
    wire_put_be64(c + 8, 0);
    wire_put_be64(c + 16, 0);
}

static void spoil_zero(uint8_t *c)
{
    wire_put_be64(c + 16, 8);
}

static void spoil_offset(uint8_t *c)
{
    wire_put_be64(c + CARRY_CHUNK_LEN + 24, 0);
}

static void spoil_count(uint8_t *c)
{
    wire_put_be64(c + 2 * CARRY_CHUNK_LEN + 8, 0x55);
}

static void test_chunks(void)
{
    refused_chunks(spoil_block, "entry 2 of its table");
    refused_chunks(spoil_index, "entry 2 of its table");
    refused_chunks(spoil_order, "entry 1 of its table");
    refused_chunks(spoil_present, "entry 1 of its table");
    refused_chunks(spoil_empty, "entry 0 of its table");
    refused_chunks(spoil_zero, "entry 0 of its table");
    refused_chunks(spoil_offset, "entry 1 of its table");
    refused_chunks(spoil_count, "its header says");
}

static void test_receipt(void)
{
    g_autofree char *a = carry_receipt(attempt), *b = carry_receipt(other);

    g_assert_cmpuint(strlen(a), ==, 16);
    g_assert_cmpstr(a, !=, b);
}

/* ---- files ---- */

typedef struct Folder {
    char *dir, *path, *part;
    MigrateAddress *a;
} Folder;

static Folder folder_new(void)
{
    Folder f = { .dir = g_dir_make_tmp("ferry-carry-XXXXXX", NULL) };
    g_autofree char *uri = NULL;

    f.path = g_build_filename(f.dir, "rest", NULL);
    f.part = g_strconcat(f.path, ".part", NULL);
    uri = g_strconcat("file:", f.path, NULL);
    f.a = migrate_address_parse(uri, NULL);
    return f;
}

static void folder_clear(Folder *f)
{
    g_unlink(f->path);
    g_assert_cmpint(g_rmdir(f->dir), ==, 0); /* nothing else is in it */
    migrate_address_free(f->a);
    g_free(f->dir);
    g_free(f->path);
    g_free(f->part);
}

static void fill_page(uint8_t *page, uint64_t value)
{
    for (unsigned i = 0; i < PAGE / 8; i++) {
        ((uint64_t *)page)[i] = value * 0x9e3779b97f4a7c15ULL + i;
    }
}

/* A chunk of pages 0, 1, 3 (zero), 63 and one of all 64. */
static CarryOut *write_file(const Folder *f, Parts *p)
{
    g_autofree uint8_t *mem = g_malloc(CARRY_CHUNK_BYTES);
    CarryOut *out = carry_out_open(f->a, NULL);
    CarryChunk c = { .block = 1, .index = 0, .present = 0x800000000000000b, .zero = 8 };
    struct iovec iov[3];
    uint8_t entry[CARRY_CHUNK_LEN];

    g_assert_nonnull(out);
    *p = (Parts){ .g = guest_new(attempt, uuid) };
    p->head = carry_head_for(p->g, CARRY_REST);
    p->tables = carry_tables_new(p->g);
    for (unsigned i = 0; i < CARRY_CHUNK_PAGES; i++) {
        fill_page(mem + i * PAGE, i + 1);
    }
    for (unsigned k = 0; k < 2; k++) {
        unsigned n = k ? 1 : 2;

        c.offset = PAGE + (k ? 3 * PAGE : 0);
        iov[0] = (struct iovec){ mem, k ? CARRY_CHUNK_BYTES : 2 * PAGE };
        iov[1] = (struct iovec){ mem + 63 * PAGE, PAGE };
        carry_digest(iov, n, c.digest);
        g_assert_true(carry_out_write(out, iov, n, c.offset, NULL));
        carry_chunk_encode(entry, &c);
        g_byte_array_append(p->tables, entry, sizeof(entry));
        c.index = 5;
        c.present = ~0ULL;
        c.zero = 0;
    }
    p->head.n_chunks = 2;
    p->head.pages = 4 + 64;
    p->head.file_len = PAGE + (3 + 64) * PAGE;
    carry_head_set_tables(&p->head, p->tables);
    return out;
}

static void check_page(const uint8_t *mem, unsigned i)
{
    uint8_t page[PAGE];

    fill_page(page, i + 1);
    g_assert_cmpmem(mem + i * PAGE, PAGE, page, PAGE);
}

static void test_file(void)
{
    Folder f = folder_new();
    g_autofree uint8_t *mem = g_malloc(CARRY_CHUNK_BYTES);
    Parts p;
    CarryOut *out = write_file(&f, &p);
    g_autoptr(CarryFile) in = NULL;
    uint64_t at;

    g_assert_false(g_file_test(f.path, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(f.part, G_FILE_TEST_EXISTS));
    g_assert_true(carry_out_commit(out, &p.head, p.tables, NULL));
    g_assert_false(g_file_test(f.part, G_FILE_TEST_EXISTS));
    carry_out_free(out);
    in = carry_file_open(f.a, CARRY_REST, guest_new(attempt, uuid), NULL);
    g_assert_nonnull(in);
    memset(mem, 0xa5, CARRY_CHUNK_BYTES);
    CarryChunk c = carry_file_chunk(in, 0);
    g_assert_true(carry_file_read(in, &c, mem, NULL));
    check_page(mem, 0);
    check_page(mem, 1);
    g_assert_cmphex(mem[2 * PAGE], ==, 0xa5);
    g_assert_true(buffer_is_zero(mem + 3 * PAGE, PAGE));
    g_assert_cmphex(mem[4 * PAGE], ==, 0xa5);
    check_page(mem, 63);
    c = carry_file_chunk(in, 1);
    g_assert_true(carry_file_read(in, &c, mem, NULL));
    for (unsigned i = 0; i < CARRY_CHUNK_PAGES; i++) {
        check_page(mem, i);
    }
    g_assert_true(carry_file_find(in, 1, 5, &at));
    g_assert_cmpuint(at, ==, 1);
    g_assert_true(carry_file_find(in, 1, 0, &at));
    g_assert_cmpuint(at, ==, 0);
    g_assert_false(carry_file_find(in, 0, 0, &at));
    g_assert_false(carry_file_find(in, 1, 4, &at));
    g_assert_false(carry_file_find(in, 1, 6, &at));
    parts_clear(&p);
    folder_clear(&f);
}

static void test_file_damaged(void)
{
    Folder f = folder_new();
    g_autofree uint8_t *mem = g_malloc(CARRY_CHUNK_BYTES);
    g_autoptr(Error) digest = NULL, cut = NULL;
    Parts p;
    CarryOut *out = write_file(&f, &p);
    g_autoptr(CarryFile) in = NULL;
    CarryChunk c;
    int fd;

    g_assert_true(carry_out_commit(out, &p.head, p.tables, NULL));
    carry_out_free(out);
    fd = open(f.path, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(pwrite(fd, "x", 1, p.head.file_len - 7), ==, 1);
    in = carry_file_open(f.a, CARRY_REST, guest_new(attempt, uuid), NULL);
    c = carry_file_chunk(in, 1);
    g_assert_false(carry_file_read(in, &c, mem, &digest));
    g_assert_nonnull(strstr(digest->message, "chunk 0x140000 of RAM block 'big'"));
    g_assert_cmpint(ftruncate(fd, p.head.file_len - 1), ==, 0);
    g_assert_false(carry_file_read(in, &c, mem, &cut));
    g_assert_nonnull(strstr(cut->message, "where more should be"));
    c = carry_file_chunk(in, 0);
    g_assert_true(carry_file_read(in, &c, mem, NULL));
    close(fd);
    parts_clear(&p);
    folder_clear(&f);
}

/* Given up: what was there before stays. */
static void test_given_up(void)
{
    Folder f = folder_new();
    g_autofree char *text = NULL;
    Parts p;

    g_assert_true(g_file_set_contents(f.path, "before", -1, NULL));
    g_assert_true(g_file_set_contents(f.part, "of a program that was killed", -1, NULL));
    carry_out_free(write_file(&f, &p));
    g_assert_true(g_file_get_contents(f.path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "before");
    parts_clear(&p);
    folder_clear(&f);
}

/* A link that somebody else has put there is not followed. */
static void test_planted_link(void)
{
    Folder f = folder_new();
    g_autofree char *aim = g_build_filename(f.dir, "aim", NULL), *text = NULL;
    Parts p;

    g_assert_true(g_file_set_contents(aim, "precious", -1, NULL));
    g_assert_cmpint(symlink(aim, f.part), ==, 0);
    carry_out_free(write_file(&f, &p));
    g_assert_true(g_file_get_contents(aim, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "precious");
    g_unlink(aim);
    parts_clear(&p);
    folder_clear(&f);
}

/* A received map: 70 and 512 pages. */
static void test_received(void)
{
    Folder f = folder_new();
    g_autoptr(CarryGuest) g = guest_new(attempt, uuid);
    CarryHead h = carry_head_for(g, CARRY_RECEIVED);
    g_autoptr(GByteArray) tables = carry_tables_new(g);
    CarryOut *out = carry_out_open(f.a, NULL);
    g_autoptr(CarryFile) in = NULL;
    uint8_t maps[16 + 64];

    for (unsigned i = 0; i < sizeof(maps); i++) {
        maps[i] = i;
    }
    g_byte_array_append(tables, maps, sizeof(maps));
    carry_head_set_tables(&h, tables);
    h.file_len = h.pages_at;
    g_assert_true(carry_out_commit(out, &h, tables, NULL));
    carry_out_free(out);
    in = carry_file_open(f.a, CARRY_RECEIVED, guest_new(attempt, no_uuid), NULL);
    g_assert_nonnull(in);
    g_assert_cmpmem(carry_file_bitmap(in, 0), 16, maps, 16);
    g_assert_cmpmem(carry_file_bitmap(in, 1), 64, maps + 16, 64);
    folder_clear(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/carry/good", test_good);
    g_test_add_func("/carry/header-damaged", test_header_damaged);
    g_test_add_func("/carry/tables-damaged", test_tables_damaged);
    g_test_add_func("/carry/owner", test_owner);
    g_test_add_func("/carry/sizes", test_sizes);
    g_test_add_func("/carry/blocks", test_blocks);
    g_test_add_func("/carry/chunks", test_chunks);
    g_test_add_func("/carry/receipt", test_receipt);
    g_test_add_func("/carry/file", test_file);
    g_test_add_func("/carry/file-damaged", test_file_damaged);
    g_test_add_func("/carry/given-up", test_given_up);
    g_test_add_func("/carry/planted-link", test_planted_link);
    g_test_add_func("/carry/received", test_received);
    return g_test_run();
}
