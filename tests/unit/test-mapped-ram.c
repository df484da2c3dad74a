/*
 * Unit tests of mapped-ram: the header, positions of streams, which descriptors serve, memory
 * into a file and back, files that are hostile or cut.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "migration/config.h"
#include "migration/mapped-ram.h"
#include "migration/state.h"
#include "migration/stream-internal.h"
#include "monitor/monitor.h"
#include "system/dirty.h"
#include "system/machine-lock.h"
#include "util/bitmap.h"
#include "util/util.h"

#define PAGE TARGET_PAGE_SIZE
#define MAIN_SIZE (5 * MiB)
#define SIDE_SIZE (20 * PAGE) /* its bitmap has bits to spare */
#define START 7ULL            /* where the stream begins in the file */

static RAMBlock *main_block, *side_block;

/* ---- the header ---- */

static void test_header(void)
{
    const WireMapped at = { 0x1122334455667788, 0x99aabbccddeeff00 };
    uint8_t buf[WIRE_MAPPED_HEADER_LEN];
    g_autoptr(Error) err = NULL;
    WireMapped got;

    wire_mapped_encode(buf, &at);
    g_assert_cmpmem(buf, 12, "\0\0\0\1\0\0\0\0\0\0\x10\0", 12);
    g_assert_true(wire_mapped_decode(buf, &got, NULL));
    g_assert_cmphex(got.bitmap_offset, ==, at.bitmap_offset);
    g_assert_cmphex(got.pages_offset, ==, at.pages_offset);
    buf[3] = 0;
    g_assert_true(wire_mapped_decode(buf, &got, NULL));
    buf[3] = 2;
    g_assert_false(wire_mapped_decode(buf, &got, &err));
    g_assert_nonnull(strstr(err->message, "version 2"));
    g_clear_error(&err);
    buf[3] = 1;
    buf[10] = 0x20;
    g_assert_false(wire_mapped_decode(buf, &got, &err));
    g_assert_nonnull(strstr(err->message, "8192"));
}

static void test_layout(void)
{
    /* As in a file of another emulator: 256 pages, header at 101. */
    WireMapped at = wire_mapped_layout(101, 256);

    g_assert_cmphex(at.bitmap_offset, ==, 129);
    g_assert_cmphex(at.pages_offset, ==, 0x100000);
    at = wire_mapped_layout(0x100000 - 28 - 8, 64);
    g_assert_cmphex(at.pages_offset, ==, 0x100000);
    at = wire_mapped_layout(0x100000 - 28 - 8, 65);
    g_assert_cmphex(at.pages_offset, ==, 0x200000);
    g_assert_cmpuint(wire_mapped_bitmap_bytes(0), ==, 0);
    g_assert_cmpuint(wire_mapped_bitmap_bytes(65), ==, 16);
}

/* ---- files ---- */

/* An empty file without a name. */
static int new_file(void)
{
    int fd = memfd_create("mapped-ram", MFD_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

/* The same once more, with a position of its own. */
static IOChannel *open_again(int fd, int flags)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);

    return io_channel_file_new(path, flags, 0, NULL);
}

static void test_positions(void)
{
    int fd = new_file();
    IOChannel *ioc = open_again(fd, O_RDWR);
    Stream *s = stream_new_output(ioc);
    uint64_t pos;

    stream_put_be32(s, 1);
    g_assert_true(stream_tell(s, &pos));
    g_assert_cmpuint(pos, ==, 4);
    g_assert_true(stream_seek(s, 1000000));
    stream_put_be32(s, 2);
    g_assert_cmpuint(stream_offset(s), ==, 1000004);
    g_assert_cmpuint(stream_bytes(s), ==, 8);
    g_assert_true(stream_close(s, NULL));
    stream_free(s);
    io_channel_unref(ioc);
    ioc = open_again(fd, O_RDONLY);
    s = stream_new_input(ioc);
    g_assert_cmpuint(stream_get_be32(s), ==, 1);
    g_assert_true(stream_tell(s, &pos));
    g_assert_cmpuint(pos, ==, 4);
    g_assert_true(stream_seek(s, 100));      /* inside of what was read ahead */
    g_assert_true(stream_tell(s, &pos));
    g_assert_cmpuint(pos, ==, 100);
    g_assert_true(stream_seek(s, 1000000));
    g_assert_cmpuint(stream_get_be32(s), ==, 2);
    g_assert_cmpuint(stream_offset(s), ==, 1000004);
    g_assert_true(stream_seek(s, 0));
    g_assert_cmpuint(stream_get_be32(s), ==, 1);
    g_assert_false(stream_seek(s, 1ULL << 63));
    g_assert_true(stream_error(s, NULL));
    stream_free(s);
    io_channel_unref(ioc);
    close(fd);
}

static void expect_unfit(IOChannel *ioc, bool writing, const char *part)
{
    g_autoptr(Error) err = NULL;

    g_assert_false(mig_file_has_positions(ioc, writing, &err));
    if (!strstr(err->message, part)) {
        g_error("%s", err->message);
    }
    io_channel_unref(ioc);
}

static void test_fit(void)
{
    int fd = new_file(), pipes[2];
    IOChannel *ioc = open_again(fd, O_RDWR);

    g_assert_true(mig_file_has_positions(ioc, true, NULL));
    g_assert_true(mig_file_has_positions(ioc, false, NULL));
    io_channel_unref(ioc);
    expect_unfit(open_again(fd, O_RDONLY), true, "not open for writing");
    expect_unfit(open_again(fd, O_WRONLY), false, "not open for reading");
    expect_unfit(open_again(fd, O_WRONLY | O_APPEND), true, "O_APPEND");
    g_assert_cmpint(pipe2(pipes, O_CLOEXEC), ==, 0);
    expect_unfit(io_channel_fd_new(pipes[0], NULL), false, "has positions");
    expect_unfit(io_channel_file_new_fd(pipes[1]), true, "has positions");
    close(fd);
}

/* Which of a set's descriptors serves which open(). */
static void test_fdset(void)
{
    g_autofree char *path = g_strdup("/var/tmp/ferry-fdset-XXXXXX");
    int fd = g_mkstemp(path), direct = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
    int64_t id = monitor_fdset_add(open(path, O_RDWR | O_CLOEXEC), -1, NULL);
    g_autoptr(Error) err = NULL;
    int got;

    unlink(path);
    close(fd);
    got = monitor_fdset_dup(id, O_WRONLY, NULL);
    g_assert_cmpint(fcntl(got, F_GETFL) & O_ACCMODE, ==, O_RDWR);
    close(got);
    g_assert_cmpint(monitor_fdset_dup(id, O_RDONLY | O_DIRECT, &err), ==, -1);
    g_assert_nonnull(strstr(err->message, "and O_DIRECT"));
    if (direct < 0) {
        g_test_skip("/var/tmp has no O_DIRECT");
        return;
    }
    monitor_fdset_add(direct, id, NULL);
    got = monitor_fdset_dup(id, O_WRONLY | O_DIRECT, NULL);
    g_assert_true(fcntl(got, F_GETFL) & O_DIRECT);
    close(got);
    /* Without is better for who does not ask for it, even when the mode fits less. */
    got = monitor_fdset_dup(id, O_WRONLY, NULL);
    g_assert_false(fcntl(got, F_GETFL) & O_DIRECT);
    close(got);
}

/* ---- there and back ---- */

/* A source or destination with mapped-ram over fd. */
typedef struct Fixture {
    MigSettings *settings;
    MigStateMachine state;
    Migration m;
    Stream *s;
} Fixture;

static void set_up(Fixture *f, int fd, bool source, unsigned channels)
{
    const MigCapChange caps[] = { { MIG_CAP_MAPPED_RAM, true }, { MIG_CAP_MULTIFD, channels > 0 } };
    const MigParamChange params[] = { { .param = MIG_PARAM_MULTIFD_CHANNELS,
                                        .num = MAX(channels, 1) } };
    IOChannel *ioc = open_again(fd, source ? O_RDWR : O_RDONLY);

    memset(f, 0, sizeof(*f));
    f->settings = mig_settings_new();
    g_assert_true(mig_settings_set_caps(f->settings, caps, 2, false, NULL));
    g_assert_true(mig_settings_set_params(f->settings, params, 1, false, NULL));
    mig_state_init(&f->state, source ? MIG_SRC : MIG_DST, NULL, NULL);
    f->m.source = source;
    f->m.state = &f->state;
    f->m.detect_zero = true;
    f->m.config = mig_config_freeze(f->settings);
    f->m.channel = ioc;
    g_mutex_init(&f->m.error_lock);
    g_assert_cmpint(io_channel_seek(ioc, START, SEEK_SET, NULL), ==, START);
    machine_lock();
    if (source) {
        f->s = stream_new_output(ioc);
        f->m.ram = ram_source_new(f->m.config, false);
        g_assert_true(ram_dirty_start_log(f->m.ram, NULL));
    } else {
        f->s = stream_new_input(ioc);
        f->m.ram_dest = ram_dest_new(f->m.config);
    }
    machine_unlock();
    g_assert_true(mapped_open(&f->m, ioc, NULL));
}

static void tear_down(Fixture *f)
{
    stream_free(f->s);
    migration_set_pages_channel(&f->m, NULL);
    io_channel_unref(f->m.channel);
    ram_source_free(f->m.ram);
    ram_dest_free(f->m.ram_dest);
    mig_config_free(f->m.config);
    mig_settings_free(f->settings);
    mig_state_clear(&f->state);
    g_mutex_clear(&f->m.error_lock);
}

/* Every fifth run of seven pages is not zero. */
static void fill(void)
{
    memset(main_block->host, 0, MAIN_SIZE);
    memset(side_block->host, 0, SIDE_SIZE);
    for (uint64_t page = 0; page < MAIN_SIZE / PAGE; page++) {
        if (page / 7 % 5 == 0) {
            memset(main_block->host + page * PAGE + 100, 1 + page % 255, PAGE - 100);
        }
    }
    side_block->host[SIDE_SIZE - 1] = 9;
}

/* All memory into the file. */
static int save(void)
{
    int fd = new_file();
    Fixture f;

    fill();
    set_up(&f, fd, true, 0);
    g_assert_true(ram_save_setup(&f.m, f.s, NULL));
    g_assert_true(ram_save_iterate(&f.m, f.s, NULL));
    /* Sent, and then zero; zero, and then not; changed. */
    memset(main_block->host, 0, PAGE);
    memset(main_block->host + 8 * PAGE, 0x44, PAGE);
    memset(main_block->host + 2 * PAGE, 0x55, PAGE);
    ram_mark_dirty(main_block, 0, 10 * PAGE);
    g_assert_true(ram_dirty_sync(&f.m, NULL));
    g_assert_true(ram_save_complete(&f.m, f.s, NULL));
    g_assert_true(stream_flush(f.s));
    g_assert_cmpuint(f.m.stats.mapped_bytes, >, MAIN_SIZE / 5);
    tear_down(&f);
    return fd;
}

/* The first is the START section's body, the last the END's. */
static bool load(Fixture *f, Error **errp)
{
    return ram_load(f->m.ram_dest, f->s, f->m.config, errp) &&
           ram_load(f->m.ram_dest, f->s, f->m.config, errp) &&
           ram_load(f->m.ram_dest, f->s, f->m.config, errp);
}

static void test_round_trip(gconstpointer channels)
{
    g_autofree uint8_t *was = NULL;
    int fd = save();
    struct stat st;
    Fixture f;

    was = g_memdup2(main_block->host, MAIN_SIZE);
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    /* Zero pages take no room. */
    g_assert_cmpuint(st.st_blocks * 512, <, MAIN_SIZE / 2);
    memset(main_block->host, 0xaa, MAIN_SIZE); /* what the file has not must become zero */
    memset(side_block->host, 0xaa, SIDE_SIZE);
    set_up(&f, fd, false, GPOINTER_TO_UINT(channels));
    g_assert_true(load(&f, NULL));
    g_assert_cmpmem(main_block->host, MAIN_SIZE, was, MAIN_SIZE);
    g_assert_cmpuint(side_block->host[SIDE_SIZE - 1], ==, 9);
    g_assert_true(buffer_is_zero(side_block->host, SIDE_SIZE - 1));
    for (unsigned i = 0; i < f.m.ram_dest->n_blocks; i++) {
        RamDestBlock *b = &f.m.ram_dest->blocks[i];

        g_assert_cmpuint(bitmap_count(b->received, 0, b->pages), ==, b->pages);
    }
    tear_down(&f);
    close(fd);
}

/* ---- hostile files ---- */

/* Header of main: behind the total, the name, the length, ... */
#define HEADER (START + 8 + 5 + 8)

static void expect_refusal(int fd, unsigned channels, const char *part)
{
    g_autoptr(Error) err = NULL;
    Fixture f;

    set_up(&f, fd, false, channels);
    g_assert_false(load(&f, &err));
    if (!strstr(err->message, part) || !strstr(err->message, "offset")) {
        g_error("expected '%s': %s", part, err->message);
    }
    tear_down(&f);
}

/* len bytes at pos are others for one load. */
static void with_bytes(int fd, uint64_t pos, uint64_t value, unsigned len, const char *part)
{
    uint8_t before[8], now[8];

    wire_put_be64(now, value);
    g_assert_cmpint(pread(fd, before, len, pos), ==, len);
    g_assert_cmpint(pwrite(fd, now + 8 - len, len, pos), ==, len);
    expect_refusal(fd, 0, part);
    expect_refusal(fd, 3, part);
    g_assert_cmpint(pwrite(fd, before, len, pos), ==, len);
}

static void test_hostile(void)
{
    WireMapped side = wire_mapped_layout(MiB + MAIN_SIZE + 1 + 4 + 8, SIDE_SIZE / PAGE);
    int fd = save();
    Fixture f;

    with_bytes(fd, HEADER, 2, 4,
               "'main' (its mapped-ram header is at file offset 0x1c): version 2");
    with_bytes(fd, HEADER + 4, 8192, 8, "8192");
    for (uint64_t bad = 0; bad < HEADER + 28; bad += 13) {
        with_bytes(fd, HEADER + 12, bad, 8, "bitmap cannot be at");
    }
    with_bytes(fd, HEADER + 12, 1ULL << 63, 8, "bitmap cannot be at");
    with_bytes(fd, HEADER + 12, UINT64_MAX, 8, "bitmap cannot be at");
    with_bytes(fd, HEADER + 12, MiB, 8, "pages cannot be at"); /* they overlap */
    with_bytes(fd, HEADER + 20, 0, 8, "pages cannot be at");
    with_bytes(fd, HEADER + 20, MiB + 8, 8, "pages cannot be at");
    with_bytes(fd, HEADER + 20, INT64_MAX & ~(PAGE - 1), 8, "pages cannot be at");
    with_bytes(fd, HEADER + 20, UINT64_MAX & ~(PAGE - 1), 8, "pages cannot be at");
    with_bytes(fd, HEADER + 20, 1ULL << 40, 8, "the file ends at offset");
    with_bytes(fd, side.bitmap_offset + 2, 0x10, 1, "'side'");
    with_bytes(fd, side.bitmap_offset + 7, 0x80, 1, "more pages");
    /* Pages in the stream as well: the PART behind the lists. */
    with_bytes(fd, side.pages_offset + SIDE_SIZE + 8, WIRE_RAM_MULTIFD_FLUSH, 8, "MULTIFD_FLUSH");
    with_bytes(fd, side.pages_offset + SIDE_SIZE + 8, WIRE_RAM_ZERO, 8, "ZERO");
    with_bytes(fd, side.pages_offset + SIDE_SIZE + 8, WIRE_RAM_PAGE, 8, "PAGE");
    set_up(&f, fd, false, 0);
    g_assert_true(load(&f, NULL));
    tear_down(&f);
    close(fd);
}

/* The file ends early, anywhere: that is always said, and always where. */
static void test_cuts(void)
{
    int fd = save();
    struct stat st;

    g_assert_cmpint(fstat(fd, &st), ==, 0);
    for (off_t size = st.st_size - 1; size >= (off_t)START;
         size -= size > (off_t)(2 * MiB) ? 33333 : size > 400 ? 9973 : 1) {
        g_assert_cmpint(ftruncate(fd, size), ==, 0);
        expect_refusal(fd, 0, "");
    }
    close(fd);
}

/* Memory that is not in the file has no places there, and a file that says so is refused. */
static void test_ignored(void)
{
    int fd = save();
    Fixture f;

    set_up(&f, fd, false, 0);
    ram_dest_block(f.m.ram_dest, "main")->ignored = true;
    g_autoptr(Error) err = NULL;
    g_assert_false(load(&f, &err));
    g_assert_nonnull(strstr(err->message, "shared"));
    tear_down(&f);
    close(fd);
}

/* An IO error in the middle: a channel that was shut down. */
static void test_shutdown(void)
{
    g_autoptr(Error) err = NULL;
    int fd = new_file();
    Fixture f;

    set_up(&f, fd, true, 0);
    g_assert_true(ram_save_setup(&f.m, f.s, NULL));
    io_channel_shutdown(f.m.pages_channel, IO_SHUTDOWN_BOTH, NULL);
    g_assert_false(ram_save_iterate(&f.m, f.s, &err));
    g_assert_nonnull(strstr(err->message, "main"));
    g_assert_nonnull(strstr(err->message, "shut down"));
    tear_down(&f);
    close(fd);
}

int main(int argc, char **argv)
{
    RAMBlockOptions opts = { .fd = -1, .dump = true };

    g_test_init(&argc, &argv, NULL);
    machine_lock();
    main_block = ramblock_new("main", MAIN_SIZE, &opts, NULL);
    side_block = ramblock_new("side", SIDE_SIZE, &opts, NULL);
    machine_unlock();
    g_assert_true(main_block && side_block);
    main_block->migratable = side_block->migratable = true;
    g_test_add_func("/mapped-ram/header", test_header);
    g_test_add_func("/mapped-ram/layout", test_layout);
    g_test_add_func("/mapped-ram/positions", test_positions);
    g_test_add_func("/mapped-ram/fit", test_fit);
    g_test_add_func("/mapped-ram/fdset", test_fdset);
    g_test_add_data_func("/mapped-ram/round-trip/1", GUINT_TO_POINTER(0), test_round_trip);
    g_test_add_data_func("/mapped-ram/round-trip/4", GUINT_TO_POINTER(4), test_round_trip);
    g_test_add_func("/mapped-ram/hostile", test_hostile);
    g_test_add_func("/mapped-ram/cuts", test_cuts);
    g_test_add_func("/mapped-ram/ignored", test_ignored);
    g_test_add_func("/mapped-ram/shutdown", test_shutdown);
    return g_test_run();
}
