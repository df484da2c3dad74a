/*
 * Streams through the whole program: recorded ones of other emulators, and one of Ferry
 * cut at every boundary and in the middle of each kind of record.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "migration-file-ram.h"

/* ---- recorded streams ---- */

typedef struct Recorded {
    const char *file;
    const char *args;
    const char *cap;      /* NULL: none */
    const char *state;    /* run state afterwards */
} Recorded;

/* Captured of -machine none of 7.2 and of a current version. */
static const Recorded recorded[] = {
    { "none-16M.qemu111-tcg", "-m 16M", NULL, "running" },
    { "none-64M.qemu72-tcg", "-m 64M", NULL, "running" },
    { "none-16M-ignshared.qemu72-tcg", "-m 16M", "x-ignore-shared", "running" },
    { "none-16M-uuid.qemu72-tcg", "-m 16M -uuid 00112233-4455-6677-8899-aabbccddeeff", NULL,
      "running" },
    { "none-16M-suppress.qemu72-tcg", "-m 16M", NULL, "running" },
    { "none-nomem.qemu72-tcg", "", NULL, "running" },
};

static void load_recorded(const Recorded *r, const char *uri_form)
{
    g_autofree char *path = g_strdup_printf("%s/streams/%s.bin", g_getenv("FERRY_TEST_DATA"),
                                            r->file);
    g_autofree char *uri = g_strdup_printf("%s%s", uri_form, path);
    g_autoptr(JsonObject) info = NULL, status = NULL;
    QTestState *s = qtest_init("-machine none %s -incoming defer", r->args);
    const char *state;

    if (r->cap) {
        mig_cap(s, r->cap, true);
    }
    qtest_qmp_ok(s, "migrate-incoming", "{'uri': '%s'}", uri);
    info = mig_wait(s, "completed");
    status = qtest_qmp_object(s, "query-status", NULL);
    state = json_object_get_string_member(status, "status");
    g_assert_true(!strcmp(state, r->state) || !strcmp(state, "prelaunch"));
    qtest_quit(s);
}

static void test_recorded(gconstpointer opaque)
{
    load_recorded(opaque, "file:");
    load_recorded(opaque, "exec:cat ");
}

/* Stock streams say what they are: without the capability they are refused by its name. */
static void test_recorded_refused(void)
{
    g_autofree char *path = g_strdup_printf("%s/streams/none-16M-ignshared.qemu72-tcg.bin",
                                            g_getenv("FERRY_TEST_DATA"));
    g_autofree char *err = NULL;

    g_assert_cmpint(qtest_run(NULL, &err, "-machine none -m 16M -display none -accel qtest "
                              "-incoming file:%s", path), ==, 1);
    g_assert_nonnull(strstr(err, "x-ignore-shared"));
}

/* ---- cuts ---- */

/* The last element of a stream of -machine none: its offset and what it is. */
typedef struct Mark {
    gsize at;
    const char *what; /* in the error when the stream ends here */
} Mark;

static gsize find(const char *data, gsize len, gsize from, const char *what, gsize n)
{
    for (gsize at = from; at + n <= len; at++) {
        if (!memcmp(data + at, what, n)) {
            return at;
        }
    }
    g_error("the stream has no such part");
}

/* Positions in a stream of one RAM block, and what its end there should be called. */
static GArray *cut_marks(const char *data, gsize len)
{
    GArray *marks = g_array_new(false, false, sizeof(Mark));
    gsize start = find(data, len, 0, "\3ram", 4) - 5, part, timer, global;

#define MARK(position, name)                        \
    do {                                            \
        Mark mark_ = { (position), (name) };        \
        g_array_append_val(marks, mark_);           \
    } while (0)
    MARK(0, "header");
    MARK(3, "header");
    MARK(8, "configuration");
    MARK(11, "configuration");
    MARK(15, "configuration");
    MARK(start, "offset");           /* between elements */
    MARK(start + 3, "section");      /* section id */
    MARK(start + 7, "section");      /* name */
    MARK(start + 15, "section");     /* instance, version */
    MARK(start + 20, "section 'ram'"); /* block list: total */
    MARK(start + 26, "section 'ram'"); /* block name */
    MARK(start + 33, "section 'ram'"); /* block length */
    MARK(start + 40, "section 'ram'"); /* EOS */
    part = find(data, len, start, "\x7e", 1);
    MARK(part, "section 'ram'");     /* footer */
    MARK(part + 2, "section 'ram'");
    part += 5;
    MARK(part + 3, "section");       /* id of PART */
    MARK(part + 5, "section 'ram'"); /* first record */
    MARK(part + 9, "section 'ram'"); /* its word */
    MARK(part + 14, "section 'ram'"); /* its block name */
    MARK(part + 16, "section 'ram'"); /* its data */
    MARK(part + 2000, "section 'ram'");
    timer = find(data, len, part, "\5timer", 6) - 5;
    MARK(timer - 3, "section 'ram'"); /* footer of END */
    MARK(timer, "offset");
    MARK(timer + 8, "section");
    MARK(timer + 24, "section 'timer'");
    global = find(data, len, timer, "\13globalstate", 12) - 5;
    MARK(global - 1, "section 'timer'");
    MARK(global + 40, "section 'globalstate'");
    MARK(global + 17 + 8 + 104 - 2, "section 'globalstate'");
    MARK(global + 17 + 8 + 104 + 2, "section 'globalstate'"); /* footer */
    MARK(global + 17 + 8 + 104 + 4 + 1, "offset");  /* EOF is missing */
#undef MARK
    return marks;
}

/* Each cut in a process of its own: exit status 1, one line that says what and where. */
static void test_cuts(void)
{
    FilePair p = file_pair_source("none", 1, "");
    g_autofree char *path = file_pair_path(&p, "stream"), *cut = file_pair_path(&p, "cut");
    g_autofree char *data = NULL;
    g_autoptr(GArray) marks = NULL;
    gsize len;

    qtest_qmp_ok(p.from, "migrate", "{'uri': 'file:%s'}", path);
    json_object_unref(mig_wait(p.from, "completed"));
    g_assert_true(g_file_get_contents(path, &data, &len, NULL));
    marks = cut_marks(data, len);
    for (guint i = 0; i < marks->len; i++) {
        const Mark *m = &g_array_index(marks, Mark, i);
        g_autofree char *err = NULL;
        int status;

        g_assert_true(g_file_set_contents(cut, data, m->at, NULL));
        status = qtest_run(NULL, &err, "-machine none,memory-backend=m -object "
                           "memory-backend-ram,id=m,size=1M -m 1M -display none -accel qtest "
                           "-incoming file:%s", cut);
        g_test_message("%zu: %s", m->at, g_strchomp(err));
        g_assert_cmpint(status, ==, 1);
        g_assert_nonnull(strstr(err, m->what));
        g_assert_nonnull(strstr(err, "offset"));
    }
    file_pair_free(&p);
}

/* Everything there but the description: that is no failure. */
static void test_no_description(void)
{
    FilePair p = file_pair_source("none", 1, "");
    g_autofree char *path = file_pair_path(&p, "stream"), *data = NULL;
    gsize len, at;

    qtest_qmp_ok(p.from, "migrate", "{'uri': 'file:%s'}", path);
    json_object_unref(mig_wait(p.from, "completed"));
    g_assert_true(g_file_get_contents(path, &data, &len, NULL));
    at = find(data, len, 0, "{\"configuration\":", 17);
    g_assert_nonnull(g_strstr_len(data + at, len - at, "\"vmsd_name\":\"globalstate\""));
    g_assert_true(g_file_set_contents(path, data, at - 5, NULL));
    g_autofree char *uri = g_strdup_printf("file:%s", path);
    file_pair_destination(&p, NULL, "none", uri, "");
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_compare(&p);
    file_pair_free(&p);
}

/* ---- a source that stalls ---- */

static int connect_unix(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    return fd;
}

/* In the middle of a device's section the monitor still answers, and the program can end. */
static void test_stall(gconstpointer in_device)
{
    static const char start[] = "QEVM\0\0\0\3\7\0\0\0\4none";
    static const char device[] = "\4\0\0\0\0\5timer\0\0\0\0\0\0\0\2\1\2\3";
    QTestState *s = qtest_init("-machine none -m 1M -incoming defer");
    g_autofree char *path = qtest_path(s, "socket");
    int fd;

    qtest_qmp_ok(s, "migrate-incoming", "{'uri': 'unix:%s'}", path);
    fd = connect_unix(path);
    g_assert_cmpint(write(fd, start, sizeof(start) - 1), ==, sizeof(start) - 1);
    if (in_device) {
        g_assert_cmpint(write(fd, device, sizeof(device) - 1), ==, sizeof(device) - 1);
    }
    json_object_unref(mig_wait(s, "active"));
    g_usleep(50 * 1000);
    for (int i = 0; i < 20; i++) {
        qtest_qmp_ok(s, "query-status", NULL);
    }
    qtest_quit(s);
    close(fd);
}

static void say(int fd, const char *text)
{
    g_assert_cmpint(write(fd, text, strlen(text)), ==, strlen(text));
}

static void wait_closed(int fd)
{
    char c;

    g_assert_cmpint(read(fd, &c, 1), <=, 0); /* reset, when something was not read */
    close(fd);
}

/*
 * Whoever says nothing, or what no source says, is sent away after a while and takes nobody's place.
 * When the source is there, nobody else may begin another migration.
 */
static void test_second_connection(void)
{
    QTestState *s = qtest_init("-machine none -m 1M -incoming defer");
    g_autofree char *path = qtest_path(s, "socket");
    int fd, silent, stranger;

    qtest_qmp_ok(s, "migrate-set-parameters", "{'x-peer-timeout': 200}");
    qtest_qmp_ok(s, "migrate-incoming", "{'uri': 'unix:%s'}", path);
    silent = connect_unix(path);
    stranger = connect_unix(path);
    say(stranger, "GET / HTTP/1.0\n");
    wait_closed(stranger);
    wait_closed(silent);
    fd = connect_unix(path);
    say(fd, "QEVM");
    json_object_unref(mig_wait(s, "active"));
    g_free(qtest_qmp_error(s, "migrate-incoming", "{'uri': 'unix:%s'}", path));
    g_free(qtest_qmp_error(s, "migrate", "{'uri': 'unix:%s'}", path));
    qtest_quit(s);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(recorded); i++) {
        g_autofree char *name = g_strdup_printf("/stream/recorded/%s", recorded[i].file);

        g_test_add_data_func(name, &recorded[i], test_recorded);
    }
    g_test_add_func("/stream/recorded-refused", test_recorded_refused);
    g_test_add_func("/stream/cuts", test_cuts);
    g_test_add_data_func("/stream/stall/between", NULL, test_stall);
    g_test_add_data_func("/stream/stall/in-device", "", test_stall);
    g_test_add_func("/stream/second-connection", test_second_connection);
    g_test_add_func("/stream/no-description", test_no_description);
    return g_test_run();
}
