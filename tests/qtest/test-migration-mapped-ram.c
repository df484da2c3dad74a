/*
 * mapped-ram through the real program: every kind of address, with and without multifd and
 * direct-io, while memory changes and while it does not; a file of another emulator; files
 * that are cut; refusals, and sources that fail and go on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "migration-file-ram.h"
#include "migration-helpers.h"

#define MIB 6
#define PAGE 4096
#define OFFSET 5000 /* of the stream in the file */

typedef enum Kind { BY_NAME, AT_OFFSET, STRUCTURED, BY_FD, BY_SET, KINDS } Kind;

static const char *const kind_names[KINDS] = { "file", "offset", "structured", "fd", "fdset" };

typedef struct Case {
    Kind kind;
    unsigned channels;     /* of multifd; 0: off */
    bool direct;
    const char *detection; /* of zero pages; NULL: as it is */
} Case;

/* ---- addresses ---- */

/* Where files are that direct-io works with. */
static char *new_dir(void)
{
    char *dir = g_strdup("/var/tmp/ferry-mapped-XXXXXX");

    g_assert_nonnull(g_mkdtemp(dir));
    return dir;
}

static void remove_dir(char *dir)
{
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;

    while (d && (name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        g_unlink(path);
    }
    g_rmdir(dir);
    g_free(dir);
}

static bool can_direct(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "probe", NULL);
    int fd = open(path, O_CREAT | O_WRONLY | O_DIRECT | O_CLOEXEC, 0600);

    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

static int64_t give_to_set(QTestState *s, const char *path, int flags, int64_t set)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);

    g_assert_cmpint(fd, >=, 0);
    g_autoptr(JsonNode) r = set < 0 ? qtest_qmp_fd(s, fd, "add-fd", NULL)
                                    : qtest_qmp_fd(s, fd, "add-fd", "{'fdset-id': %" PRId64 "}",
                                                   set);
    close(fd);
    return json_object_get_int_member(json_node_get_object(r), "fdset-id");
}

/* Argument of migrate (out) or migrate-incoming for path; hands over what that needs. */
static char *address(QTestState *s, const Case *c, const char *path, bool out)
{
    int flags = out ? O_CREAT | O_WRONLY : O_RDONLY;
    int64_t set;
    int fd;

    switch (c->kind) {
    case AT_OFFSET:
        return g_strdup_printf("'uri': 'file:%s,offset=%d'", path, OFFSET);
    case STRUCTURED:
        return g_strdup_printf("'channels': [{'channel-type': 'main', 'addr': {'transport': "
                               "'file', 'filename': '%s', 'offset': %d}}]", path, OFFSET);
    case BY_FD:
        /* Where it stands is where the stream begins. */
        fd = open(path, flags | O_CLOEXEC, 0600);
        g_assert_cmpint(lseek(fd, OFFSET, SEEK_SET), ==, OFFSET);
        json_node_unref(qtest_qmp_fd(s, fd, "getfd", "{'fdname': 'f'}"));
        close(fd);
        return g_strdup("'uri': 'fd:f'");
    case BY_SET:
        set = give_to_set(s, path, flags, -1);
        if (c->direct) {
            give_to_set(s, path, (flags & ~O_CREAT) | O_DIRECT, set);
        }
        return g_strdup_printf("'uri': 'file:/dev/fdset/%" PRId64 "'", set);
    default:
        return g_strdup_printf("'uri': 'file:%s'", path);
    }
}

static void set_up(QTestState *s, const Case *c)
{
    mig_cap(s, "events", true);
    mig_cap(s, "mapped-ram", true);
    if (c->channels) {
        mig_cap(s, "multifd", true);
        qtest_qmp_ok(s, "migrate-set-parameters", "{'multifd-channels': %u}", c->channels);
    }
    if (c->detection) {
        qtest_qmp_ok(s, "migrate-set-parameters", "{'zero-page-detection': '%s'}", c->detection);
    }
    qtest_qmp_ok(s, "migrate-set-parameters", "{'direct-io': %s}", c->direct ? "true" : "false");
}

/* ---- known memory ---- */

/* What is in front of the stream is none of our business. */
static void check_front(const char *path, const char *front)
{
    g_autofree char *data = NULL;
    gsize len;

    g_assert_true(g_file_get_contents(path, &data, &len, NULL));
    g_assert_cmpuint(len, >, MIB << 20);
    g_assert_cmpmem(data, OFFSET, front, OFFSET);
}

static void check_numbers(QTestState *s, const Case *c, const char *path)
{
    g_autoptr(JsonObject) info = qtest_qmp_object(s, "query-migrate", NULL);
    JsonObject *ram = json_object_get_object_member(info, "ram");
    int64_t normal = json_object_get_int_member(ram, "normal");
    int64_t zero = json_object_get_int_member(ram, "duplicate");
    int64_t transferred = json_object_get_int_member(ram, "transferred");
    bool finds = !c->detection || strcmp(c->detection, "none");
    struct stat st;

    g_assert_cmpint(normal + zero, ==, (MIB << 20) / PAGE);
    g_assert_true(finds ? zero > 100 : !zero);
    g_assert_cmpint(transferred, >, normal * PAGE);
    g_assert_cmpint(transferred, <, normal * PAGE + (64 << 10));
    g_assert_cmpint(json_object_get_int_member(ram, "multifd-bytes"), ==,
                    c->channels ? normal * PAGE : 0);
    /* Zero pages have no room in the file. */
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_blocks * 512, <, normal * PAGE + (256 << 10));
}

static void load(FilePair *p, const Case *c, const char *path)
{
    g_autofree char *from = NULL;

    file_pair_destination(p, NULL, "none", "defer", "");
    set_up(p->to, c);
    from = address(p->to, c, path, false);
    qtest_qmp_ok(p->to, "migrate-incoming", "{%s}", from);
    json_object_unref(mig_wait(p->to, "completed"));
    file_pair_compare(p);
}

static void test_still(gconstpointer opaque)
{
    const Case *c = opaque;
    char *dir = new_dir();
    g_autofree char *path = g_build_filename(dir, "saved", NULL), *to = NULL;
    g_autofree char *front = g_strnfill(2 * OFFSET, 'f');
    FilePair p;

    if (c->direct && !can_direct(dir)) {
        g_test_skip("/var/tmp has no O_DIRECT");
        remove_dir(dir);
        return;
    }
    g_assert_true(g_file_set_contents(path, front, 2 * OFFSET, NULL));
    p = file_pair_source("none", MIB, "");
    set_up(p.from, c);
    to = address(p.from, c, path, true);
    qtest_qmp_ok(p.from, "migrate", "{%s}", to);
    json_object_unref(mig_wait(p.from, "completed"));
    check_numbers(p.from, c, path);
    if (c->kind == AT_OFFSET || c->kind == STRUCTURED || c->kind == BY_FD) {
        check_front(path, front);
    }
    load(&p, c, path);
    file_pair_free(&p);
    remove_dir(dir);
}

/* Memory is written to from outside while it goes out slowly. */
static void test_changing(gconstpointer opaque)
{
    const Case *c = opaque;
    char *dir = new_dir();
    g_autofree char *path = g_build_filename(dir, "saved", NULL), *to = NULL;
    FilePair p = file_pair_source("none", MIB, "");
    g_autoptr(JsonObject) info = NULL;

    set_up(p.from, c);
    qtest_qmp_ok(p.from, "migrate-set-parameters", "{'max-bandwidth': 8388608}");
    to = address(p.from, c, path, true);
    qtest_qmp_ok(p.from, "migrate", "{%s}", to);
    json_object_unref(mig_wait(p.from, "active"));
    for (int i = 0; i < 300; i++) {
        uint64_t page = i * 31 % ((MIB << 20) / PAGE);

        /* Also back to zero, and to something from zero. */
        qtest_memset(p.from, page * PAGE, i % 3 ? i : 0, PAGE);
        g_usleep(500);
    }
    info = qtest_qmp_object(p.from, "query-migrate", NULL);
    g_assert_cmpstr(json_object_get_string_member(info, "status"), ==, "active");
    qtest_qmp_ok(p.from, "migrate-set-parameters", "{'max-bandwidth': 0}");
    json_object_unref(mig_wait(p.from, "completed"));
    load(&p, c, path);
    file_pair_free(&p);
    remove_dir(dir);
}

/* ---- the running guest ---- */

typedef struct GuestCase {
    const char *accel;
    bool live;
    Case c;
} GuestCase;

static void test_guest(gconstpointer opaque)
{
    const GuestCase *g = opaque;
    GuestConfig config = { .accel = g->accel, .mib = 24 };
    char *dir = new_dir();
    g_autofree char *path = g_build_filename(dir, "saved", NULL), *addr = NULL;
    GuestVm *from, *to;

    if (guest_skip_accel(g->accel) || (g->c.direct && !can_direct(dir))) {
        g_test_skip("no KVM, or no O_DIRECT in /var/tmp");
        remove_dir(dir);
        return;
    }
    from = guest_start(&config);
    set_up(from->s, &g->c);
    mig_set_limits(from, 0, 2000);
    if (!g->live) {
        qtest_qmp_ok(from->s, "stop", NULL);
    }
    addr = address(from->s, &g->c, path, true);
    qtest_qmp_ok(from->s, "migrate", "{%s}", addr);
    mig_wait_status(from, "completed");
    qtest_wait_run_state(from->s, "postmigrate");
    guest_quit(from);

    to = guest_start_incoming(&config);
    set_up(to->s, &g->c);
    g_free(addr);
    addr = address(to->s, &g->c, path, false);
    qtest_qmp_ok(to->s, "migrate-incoming", "{%s}", addr);
    mig_wait_status(to, "completed");
    if (!g->live) {
        qtest_wait_run_state(to->s, "paused");
        qtest_qmp_ok(to->s, "cont", NULL);
    }
    guest_wait_progress(to);
    guest_verify(to);
    guest_quit(to);
    remove_dir(dir);
}

/* ---- sources that do not come to an end ---- */

/* The guest goes on, and the next one works. */
static void goes_on_and_saves(GuestVm *from, const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "again", NULL);

    qtest_wait_run_state(from->s, "running");
    guest_verify(from);
    mig_set_limits(from, 0, 2000);
    qtest_qmp_ok(from->s, "migrate", "{'uri': 'file:%s'}", path);
    mig_wait_status(from, "completed");
}

static void test_cancel(gconstpointer channels)
{
    GuestConfig config = { .accel = "interp", .mib = 16 };
    Case c = { .channels = GPOINTER_TO_UINT(channels) };
    char *dir = new_dir();
    GuestVm *from = guest_start(&config);

    set_up(from->s, &c);
    mig_set_limits(from, 1 << 20, 1);
    qtest_qmp_ok(from->s, "migrate", "{'uri': 'file:%s/first'}", dir);
    mig_wait_status(from, "active");
    qtest_qmp_ok(from->s, "migrate_cancel", NULL);
    mig_wait_status(from, "cancelled");
    goes_on_and_saves(from, dir);
    guest_quit(from);
    remove_dir(dir);
}

/* The file cannot be written to any more, all at once. */
static void test_broken_file(gconstpointer channels)
{
    GuestConfig config = { .accel = "interp", .mib = 16 };
    Case c = { .channels = GPOINTER_TO_UINT(channels) };
    int fd = memfd_create("file", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    char *dir = new_dir();
    GuestVm *from = guest_start(&config);
    g_autofree char *why = NULL;

    json_node_unref(qtest_qmp_fd(from->s, fd, "getfd", "{'fdname': 'file'}"));
    set_up(from->s, &c);
    mig_set_limits(from, 2 << 20, 1);
    qtest_qmp_ok(from->s, "migrate", "{'uri': 'fd:file'}");
    mig_wait_status(from, "active");
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), ==, 0);
    close(fd);
    for (;;) {
        g_autoptr(JsonObject) e = qtest_event_wait(from->s, "MIGRATION");
        JsonObject *data = json_object_get_object_member(e, "data");
        const char *now = json_object_get_string_member(data, "status");

        g_assert_cmpstr(now, !=, "completed");
        if (!strcmp(now, "failed")) {
            break;
        }
    }
    why = mig_info_string(from, "error-desc");
    if (!strstr(why, "cannot write") || !strstr(why, "offset")) {
        g_error("it said: %s", why);
    }
    goes_on_and_saves(from, dir);
    guest_quit(from);
    remove_dir(dir);
}

/* ---- other files ---- */

static char *recorded(gsize *ret_len)
{
    g_autofree char *path = g_strdup_printf("%s/streams/none-1M-mappedram.qemu111-tcg.bin.gz",
                                            g_getenv("FERRY_TEST_DATA"));
    g_autoptr(GFile) file = g_file_new_for_path(path);
    g_autoptr(GFileInputStream) in = g_file_read(file, NULL, NULL);
    g_autoptr(GZlibDecompressor) z = g_zlib_decompressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP);
    g_autoptr(GInputStream) plain = NULL;
    char *data = g_malloc(4 << 20);

    g_assert_nonnull(in);
    plain = g_converter_input_stream_new(G_INPUT_STREAM(in), G_CONVERTER(z));
    g_assert_true(g_input_stream_read_all(plain, data, 4 << 20, ret_len, NULL, NULL));
    return data;
}

/* Load it into memory that is full of something else, and get that memory. */
static char *load_recorded(const char *path, unsigned channels)
{
    QTestState *s = qtest_init("-machine none -m 1M -incoming defer");
    Case c = { .channels = channels };
    char *memory = g_malloc(1 << 20);

    qtest_memset(s, 0, 0xbb, 1 << 20);
    set_up(s, &c);
    qtest_qmp_ok(s, "migrate-incoming", "{'uri': 'file:%s'}", path);
    json_object_unref(mig_wait(s, "completed"));
    qtest_memread(s, 0, memory, 1 << 20);
    qtest_quit(s);
    return memory;
}

/* A file of a current version; as it is, and with pages put into it by hand. */
static void test_recorded(void)
{
    g_autofree char *expected = g_malloc0(1 << 20), *got = NULL, *again = NULL;
    gsize len, bitmap = 129, pages = 1 << 20;
    g_autofree char *data = recorded(&len);
    char *dir = new_dir();
    g_autofree char *path = g_build_filename(dir, "saved", NULL);

    g_assert_true(g_file_set_contents(path, data, len, NULL));
    got = load_recorded(path, 0);
    g_assert_cmpmem(got, 1 << 20, expected, 1 << 20);

    for (unsigned page = 0; page < 256; page += 1 + page % 5) {
        data[bitmap + page / 8] |= 1 << page % 8;
        memset(data + pages + page * PAGE, 1 + page, PAGE);
        memset(expected + page * PAGE, 1 + page, PAGE);
    }
    g_assert_true(g_file_set_contents(path, data, len, NULL));
    again = load_recorded(path, 3);
    g_assert_cmpmem(again, 1 << 20, expected, 1 << 20);
    remove_dir(dir);
}

/* scripts/analyze-stream reads what was saved, wherever it is in the file, cut or not. */
static void test_analyze(void)
{
    g_autofree char *tool = g_build_filename(g_getenv("FERRY_TEST_DATA"), "..", "..", "scripts",
                                             "analyze-stream", NULL);
    FilePair p = file_pair_source("none", MIB, "");
    g_autofree char *path = file_pair_path(&p, "saved"), *out = NULL, *err = NULL, *pages = NULL;
    char *argv[] = { tool, (char *)"--offset", (char *)"5000", path, NULL };
    const Case c = { .kind = AT_OFFSET };
    int status;

    set_up(p.from, &c);
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'file:%s,offset=5000'}", path);
    g_autoptr(JsonObject) info = mig_wait(p.from, "completed");
    pages = g_strdup_printf("'pages': %" PRId64 "}",
                            json_object_get_int_member(json_object_get_object_member(info, "ram"),
                                                       "normal"));
    g_assert_true(g_spawn_sync(NULL, argv, NULL, 0, NULL, NULL, &out, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
    g_assert_nonnull(strstr(out, pages));
    g_assert_nonnull(strstr(out, "VMDESCRIPTION"));
    g_assert_cmpint(truncate(path, 3 << 20), ==, 0);
    g_assert_true(g_spawn_sync(NULL, argv, NULL, 0, NULL, NULL, NULL, &err, &status, NULL));
    g_assert_cmpint(status, !=, 0);
    g_assert_nonnull(strstr(err, "are not in the file"));
    file_pair_free(&p);
}

/* Every so often a cut; each in a process of its own that ends with one line. */
static void test_cuts(void)
{
    FilePair p = file_pair_source("none", 1, "");
    g_autofree char *path = file_pair_path(&p, "saved"), *data = NULL;
    const Case c = { .kind = BY_NAME };
    gsize len, cut;

    set_up(p.from, &c);
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'file:%s'}", path);
    json_object_unref(mig_wait(p.from, "completed"));
    g_assert_true(g_file_get_contents(path, &data, &len, NULL));
    /* Behind EOF there is only the description, which need not be there. */
    cut = (char *)memmem(data, len, "{\"configuration\"", 16) - data - 6;
    for (; cut > 0; cut -= MIN(cut, cut > 2 << 20 ? 29 : cut > 150 ? 250007 : 11)) {
        g_autofree char *err = NULL;

        g_assert_cmpint(truncate(path, cut), ==, 0);
        g_assert_cmpint(qtest_run(NULL, &err, "-machine none,memory-backend=m -object "
                                  "memory-backend-ram,id=m,size=1M -m 1M -display none "
                                  "-accel qtest -global migration.mapped-ram=on "
                                  "-incoming file:%s", path), ==, 1);
        if (!strstr(err, "offset") ||
            (cut > 120 && cut < 2 << 20 && !strstr(err, "RAM block 'm'"))) {
            g_error("cut at %zu: %s", cut, err);
        }
    }
    file_pair_free(&p);
}

/* The other side must have it on, too. */
static void test_one_side(gconstpointer sender)
{
    FilePair p = file_pair_source("none", 1, "");
    g_autofree char *path = file_pair_path(&p, "saved"), *err = NULL;

    mig_cap(p.from, "mapped-ram", sender != NULL);
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'file:%s'}", path);
    json_object_unref(mig_wait(p.from, "completed"));
    g_assert_cmpint(qtest_run(NULL, &err, "-machine none,memory-backend=m -object "
                              "memory-backend-ram,id=m,size=1M -m 1M -display none -accel qtest "
                              "-global migration.mapped-ram=%s -incoming file:%s",
                              sender ? "off" : "on", path), ==, 1);
    g_assert_nonnull(strstr(err, "'mapped-ram'"));
    g_assert_nonnull(strstr(err, "must be the same"));
    file_pair_free(&p);
}

/* ---- together with others ---- */

static void test_ignore_shared(void)
{
    FilePair p = file_pair_source("none", MIB, "");
    g_autofree char *path = file_pair_path(&p, "saved"), *args = NULL;
    const Case c = { .kind = BY_NAME };
    struct stat st;

    set_up(p.from, &c);
    mig_cap(p.from, "x-ignore-shared", true);
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'file:%s'}", path);
    json_object_unref(mig_wait(p.from, "completed"));
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, <, 64 << 10);
    args = g_strdup_printf("-incoming defer -machine none,memory-backend=m -m %dM -object "
                           "memory-backend-file,id=m,size=%dM,mem-path=%s,share=on", MIB, MIB,
                           p.from_mem);
    p.to = qtest_init("%s", args);
    set_up(p.to, &c);
    mig_cap(p.to, "x-ignore-shared", true);
    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': 'file:%s'}", path);
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_free(&p);
}

static void test_uuid(void)
{
    const char *uuid = "-uuid 00112233-4455-6677-8899-aabbccddeeff";
    FilePair p = file_pair_source("none", 1, uuid);
    g_autofree char *path = file_pair_path(&p, "saved");
    const Case c = { .kind = BY_NAME, .channels = 2 };

    set_up(p.from, &c);
    mig_cap(p.from, "validate-uuid", true);
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'file:%s'}", path);
    json_object_unref(mig_wait(p.from, "completed"));
    file_pair_destination(&p, NULL, "none", "defer", uuid);
    set_up(p.to, &c);
    mig_cap(p.to, "validate-uuid", true);
    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': 'file:%s'}", path);
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_compare(&p);
    file_pair_free(&p);
}

static void test_hmp(void)
{
    FilePair p = file_pair_source("none", MIB, "");
    g_autofree char *path = file_pair_path(&p, "saved"), *info = NULL, *params = NULL;
    const Case c = { .kind = BY_NAME };

    g_free(qtest_hmp(p.from, "migrate_set_capability mapped-ram on"));
    g_free(qtest_hmp(p.from, "migrate_set_parameter direct-io on"));
    params = qtest_hmp(p.from, "info migrate_parameters");
    g_assert_nonnull(strstr(params, "direct-io: on"));
    g_free(qtest_hmp(p.from, "migrate_set_parameter direct-io off"));
    g_free(qtest_hmp(p.from, "migrate -d file:%s", path));
    json_object_unref(mig_wait(p.from, "completed"));
    info = qtest_hmp(p.from, "info migrate");
    g_assert_nonnull(strstr(info, "completed"));
    load(&p, &c, path);
    file_pair_free(&p);
}

/* ---- refusals ---- */

static void expect(QTestState *s, bool incoming, const char *args, const char *part)
{
    g_autofree char *err = qtest_qmp_error(s, incoming ? "migrate-incoming" : "migrate", "{%s}",
                                           args);

    if (!strstr(err, part)) {
        g_error("%s: %s", args, err);
    }
}

/* What the address or the settings rule out, both ways, before anything begins. */
static void test_refused(gconstpointer incoming)
{
    QTestState *s = qtest_init("-machine none -m 1M %s", incoming ? "-incoming defer" : "");
    const Case c = { .kind = BY_NAME, .channels = 2 };
    const char *to_file = "'uri': 'file:/nonexistent/x'";
    int pipes[2], fd;

    set_up(s, &c);
    expect(s, incoming, "'uri': 'tcp:127.0.0.1:1'", "mapped-ram needs a file");
    expect(s, incoming, "'uri': 'unix:/nonexistent/x'", "unix:/nonexistent/x is a stream");
    expect(s, incoming, "'uri': 'exec:cat'", "mapped-ram needs a file");
    g_assert_cmpint(pipe2(pipes, O_CLOEXEC), ==, 0);
    json_node_unref(qtest_qmp_fd(s, pipes[!incoming], "getfd", "{'fdname': 'p'}"));
    close(pipes[0]);
    close(pipes[1]);
    expect(s, incoming, "'uri': 'fd:p'", "fd:p is none");
    qtest_qmp_ok(s, "migrate-set-parameters", "{'multifd-compression': 'zlib'}");
    expect(s, incoming, to_file, "multifd-compression 'zlib'");
    qtest_qmp_ok(s, "migrate-set-parameters", "{'multifd-compression': 'none', "
                 "'tls-creds': 'tls0'}");
    expect(s, incoming, to_file, "TLS");
    qtest_qmp_ok(s, "migrate-set-parameters", "{'tls-creds': '', 'direct-io': true}");
    fd = memfd_create("f", MFD_CLOEXEC);
    json_node_unref(qtest_qmp_fd(s, fd, "getfd", "{'fdname': 'f'}"));
    expect(s, incoming, "'uri': 'fd:f'", "direct-io needs a second descriptor");
    g_free(qtest_qmp_error(s, "migrate-set-capabilities",
                           "{'capabilities': [{'capability': 'xbzrle', 'state': true}]}"));
    g_free(qtest_qmp_error(s, "migrate-set-capabilities",
                           "{'capabilities': [{'capability': 'postcopy-ram', 'state': true}]}"));
    close(fd);
    qtest_quit(s);
}

/* What comes out when the file is opened ends in `failed` with a reason; the machine goes on. */
static void fails(QTestState *s, const char *args, const char *part)
{
    g_autoptr(JsonObject) info = NULL;
    const char *why;

    qtest_qmp_ok(s, "migrate", "{%s}", args);
    info = mig_wait(s, "failed");
    why = json_object_get_string_member(info, "error-desc");
    if (!strstr(why, part)) {
        g_error("%s: %s", args, why);
    }
    qtest_wait_run_state(s, "running");
}

static void test_fails(void)
{
    QTestState *s = qtest_init("-machine none -m 1M");
    Case c = { .kind = BY_SET };
    char *dir = new_dir();
    g_autofree char *path = g_build_filename(dir, "saved", NULL), *uri = NULL, *fifo = NULL;
    int64_t set;

    set_up(s, &c);
    set = give_to_set(s, path, O_CREAT | O_WRONLY | O_APPEND, -1);
    uri = g_strdup_printf("'uri': 'file:/dev/fdset/%" PRId64 "'", set);
    fails(s, uri, "O_APPEND");
    fifo = g_strdup_printf("'uri': 'file:/dev/null'");
    fails(s, fifo, "needs a file or a block device");
    fails(s, "'uri': 'file:/nonexistent/x'", "/nonexistent/x");
    qtest_qmp_ok(s, "migrate-set-parameters", "{'direct-io': true}");
    set = give_to_set(s, path, O_WRONLY, -1);
    g_free(uri);
    uri = g_strdup_printf("'uri': 'file:/dev/fdset/%" PRId64 "'", set);
    fails(s, uri, "no descriptor with that access mode and O_DIRECT");
    if (can_direct(dir)) {
        g_autofree char *other = g_build_filename(dir, "probe", NULL);

        give_to_set(s, other, O_WRONLY | O_DIRECT, set);
        fails(s, uri, "two different files");
        set = give_to_set(s, path, O_WRONLY | O_DIRECT, -1);
        g_free(uri);
        uri = g_strdup_printf("'uri': 'file:/dev/fdset/%" PRId64 "'", set);
        fails(s, uri, "small records need another one");
    }
    qtest_quit(s);
    remove_dir(dir);
}

/* ---- all of them ---- */

static void add_still(void)
{
    static Case cases[KINDS][2][2];

    for (int kind = 0; kind < KINDS; kind++) {
        for (int i = 0; i < 4; i++) {
            Case *c = &cases[kind][i / 2][i % 2];
            g_autofree char *name = g_strdup_printf("/mapped-ram/still/%s%s%s", kind_names[kind],
                                                    i / 2 ? "/multifd" : "",
                                                    i % 2 ? "/direct-io" : "");

            *c = (Case){ .kind = kind, .channels = i / 2 * 3, .direct = i % 2 };
            if (kind != BY_FD || !c->direct) {
                g_test_add_data_func(name, c, test_still);
            }
        }
    }
}

static void add_more(void)
{
    static const struct {
        const char *name;
        Case c;
    } still[] = {
        { "none", { .detection = "none" } },
        { "none-multifd", { .channels = 2, .detection = "none" } },
        { "legacy-multifd", { .channels = 2, .detection = "legacy" } },
        { "one-channel", { .channels = 1 } },
    }, changing[] = {
        { "plain", { .kind = BY_NAME } },
        { "multifd", { .kind = BY_SET, .channels = 2 } },
        { "legacy", { .channels = 2, .detection = "legacy" } },
        { "none", { .kind = AT_OFFSET, .detection = "none" } },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(still); i++) {
        g_autofree char *name = g_strconcat("/mapped-ram/zero-pages/", still[i].name, NULL);

        g_test_add_data_func(name, &still[i].c, test_still);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(changing); i++) {
        g_autofree char *name = g_strconcat("/mapped-ram/changing/", changing[i].name, NULL);

        g_test_add_data_func(name, &changing[i].c, test_changing);
    }
}

static void add_guests(void)
{
    static const struct {
        const char *name;
        GuestCase g;
    } guests[] = {
        { "kvm/live", { "kvm", true, { .kind = BY_NAME } } },
        { "kvm/live/multifd", { "kvm", true, { .kind = AT_OFFSET, .channels = 2 } } },
        { "kvm/live/direct-io", { "kvm", true, { .kind = BY_SET, .direct = true } } },
        { "kvm/live/multifd/direct-io", { "kvm", true, { .channels = 2, .direct = true } } },
        { "kvm/stopped", { "kvm", false, { .kind = BY_FD } } },
        { "kvm/stopped/multifd/direct-io",
          { "kvm", false, { .kind = STRUCTURED, .channels = 2, .direct = true } } },
        { "interp/live", { "interp", true, { .kind = BY_FD, .channels = 2 } } },
        { "interp/live/direct-io", { "interp", true, { .direct = true } } },
        { "interp/stopped",
          { "interp", false, { .kind = BY_SET, .channels = 2, .direct = true } } },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(guests); i++) {
        g_autofree char *name = g_strconcat("/mapped-ram/guest/", guests[i].name, NULL);

        g_test_add_data_func(name, &guests[i].g, test_guest);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_still();
    add_more();
    add_guests();
    g_test_add_data_func("/mapped-ram/cancel/plain", GUINT_TO_POINTER(0), test_cancel);
    g_test_add_data_func("/mapped-ram/cancel/multifd", GUINT_TO_POINTER(2), test_cancel);
    g_test_add_data_func("/mapped-ram/broken-file/plain", GUINT_TO_POINTER(0), test_broken_file);
    g_test_add_data_func("/mapped-ram/broken-file/multifd", GUINT_TO_POINTER(2), test_broken_file);
    g_test_add_func("/mapped-ram/recorded", test_recorded);
    g_test_add_func("/mapped-ram/analyze", test_analyze);
    g_test_add_func("/mapped-ram/cuts", test_cuts);
    g_test_add_data_func("/mapped-ram/one-side/sender", "on", test_one_side);
    g_test_add_data_func("/mapped-ram/one-side/receiver", NULL, test_one_side);
    g_test_add_func("/mapped-ram/ignore-shared", test_ignore_shared);
    g_test_add_func("/mapped-ram/uuid", test_uuid);
    g_test_add_func("/mapped-ram/hmp", test_hmp);
    g_test_add_data_func("/mapped-ram/refused/out", NULL, test_refused);
    g_test_add_data_func("/mapped-ram/refused/in", "in", test_refused);
    g_test_add_func("/mapped-ram/fails", test_fails);
    return g_test_run();
}
