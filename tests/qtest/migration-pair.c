/*
 * Two machines for tests of migration.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration-pair.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MEM_SIZE (PAIR_PAGES * PAIR_PAGE)
#define CHUNK (1 << 20)
#define PRECOPY_BYTES_PER_S (4 << 20)
#define BACKGROUND_BYTES_PER_S (64 << 10)

static uint64_t page_value(uint64_t page)
{
    return page % 5 ? page * 0x9e3779b97f4a7c15ULL | 1 : 0;
}

/* 64-bit word i of memory; every fifth page is zero. */
static uint64_t word_value(uint64_t i)
{
    uint64_t v = page_value(i / 512);

    return v ? v + i % 512 : 0;
}

static uint64_t *new_content(void)
{
    uint64_t *mem = g_new(uint64_t, MEM_SIZE / 8);

    for (uint64_t i = 0; i < MEM_SIZE / 8; i++) {
        mem[i] = word_value(i);
    }
    return mem;
}

void pair_fill(QTestState *s)
{
    g_autofree uint64_t *mem = new_content();

    for (uint64_t at = 0; at < MEM_SIZE; at += CHUNK) {
        qtest_memwrite(s, at, (uint8_t *)mem + at, CHUNK);
    }
}

/* A file in shared memory that holds the content: a stock emulator's qtest needs a CPU. */
static char *new_content_file(void)
{
    g_autofree uint64_t *mem = new_content();
    char *path = g_strdup("/dev/shm/ferry-pair-XXXXXX");
    int fd = g_mkstemp(path);

    g_assert_cmpint(fd, >=, 0);
    for (uint64_t at = 0; at < MEM_SIZE; at += CHUNK) {
        g_assert_cmpint(write(fd, (uint8_t *)mem + at, CHUNK), ==, CHUNK);
    }
    close(fd);
    return path;
}

/* Physical memory by QMP, which every emulator has. */
static void read_memory(QTestState *s, uint64_t at, uint64_t len, void *ret)
{
    g_autofree char *path = qtest_path(s, "memory");
    g_autofree char *data = NULL;
    gsize got;

    qtest_qmp_ok(s, "pmemsave", "{'val': %" PRIu64 ", 'size': %" PRIu64 ", 'filename': '%s'}", at,
                 len, path);
    g_assert_true(g_file_get_contents(path, &data, &got, NULL));
    g_assert_cmpuint(got, ==, len);
    memcpy(ret, data, len);
    g_unlink(path);
}

void pair_check_page(QTestState *s, uint64_t page)
{
    uint64_t word;

    read_memory(s, page * PAIR_PAGE + 800, 8, &word);
    g_assert_cmphex(word, ==, word_value(page * 512 + 100));
}

void pair_check_all(QTestState *s)
{
    g_autofree uint64_t *mem = g_new(uint64_t, MEM_SIZE / 8);

    read_memory(s, 0, MEM_SIZE, mem);
    for (uint64_t i = 0; i < MEM_SIZE / 8; i++) {
        if (mem[i] != word_value(i)) {
            g_error("page %" PRIu64 " differs", i / 512);
        }
    }
}

void migration_set_cap(QTestState *s, const char *name)
{
    qtest_qmp_ok(s, "migrate-set-capabilities",
                 "{'capabilities': [{'capability': '%s', 'state': true}]}", name);
}

void migration_wait_status(QTestState *s, const char *status)
{
    for (;;) {
        g_autoptr(JsonObject) e = qtest_event_wait(s, "MIGRATION");
        JsonObject *data = json_object_get_object_member(e, "data");
        const char *now = json_object_get_string_member(data, "status");

        if (!strcmp(now, status)) {
            return;
        }
        if (!strcmp(now, "failed") || !strcmp(now, "completed")) {
            g_autofree char *said = qtest_stderr(s);
            g_error("the migration is %s instead of %s: %s", now, status, said);
        }
    }
}

void pair_give_fds(Pair *p, const char *name)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    json_node_unref(qtest_qmp_fd(p->from, fds[0], "getfd", "{'fdname': '%s'}", name));
    json_node_unref(qtest_qmp_fd(p->to, fds[1], "getfd", "{'fdname': '%s'}", name));
    close(fds[0]);
    close(fds[1]);
}

void pair_set_background(Pair *p, int bytes_per_second)
{
    qtest_qmp_ok(p->from, "migrate-set-parameters", "{'max-postcopy-bandwidth': %d}",
                 bytes_per_second);
}

int64_t pair_requests(Pair *p)
{
    g_autoptr(JsonObject) info = qtest_qmp_object(p->from, "query-migrate", NULL);
    JsonObject *ram = json_object_get_object_member(info, "ram");

    return json_object_get_int_member(ram, "postcopy-requests");
}

static QTestState *start_ferry(const char *args, const char *more)
{
    return qtest_init("-M none -m %dM %s %s", PAIR_MIB, args, more);
}

/* `fill` in a file when it is the source.  Its memory backend is called "m". */
static QTestState *start_other(const char *program, const char *args, const char *more, bool fill)
{
    g_autofree char *file = fill ? new_content_file() : NULL;
    g_autofree char *backend =
        fill ? g_strdup_printf("-object memory-backend-file,id=m,size=%dM,share=on,mem-path=%s "
                               "-machine memory-backend=m", PAIR_MIB, file)
             : g_strdup("");
    QTestState *s;

    qtest_use_binary(program);
    s = qtest_init_qmp("-M none -nodefaults -accel tcg -m %dM %s %s %s", PAIR_MIB, backend, args, more);
    qtest_use_binary(NULL);
    if (file) {
        g_unlink(file);
    }
    return s;
}

Pair pair_new_with(const char *from_program, const char *from_args, const char *to_program,
                   const char *to_args)
{
    Pair p = { .reads = 40 };

    if (from_program) {
        p.from = start_other(from_program, from_args, "", true);
    } else {
        p.from = start_ferry(from_args, "");
        pair_fill(p.from);
    }
    p.to = to_program ? start_other(to_program, to_args, "-incoming defer", false)
                      : start_ferry(to_args, "-incoming defer");
    migration_set_cap(p.from, "events");
    migration_set_cap(p.to, "events");
    migration_set_cap(p.from, "postcopy-ram");
    migration_set_cap(p.to, "postcopy-ram");
    qtest_qmp_ok(p.from, "migrate-set-parameters", "{'max-bandwidth': %d}", PRECOPY_BYTES_PER_S);
    pair_set_background(&p, BACKGROUND_BYTES_PER_S);
    g_autofree char *path = qtest_path(p.to, "socket");
    p.uri = g_strdup_printf("unix:%s", path);
    return p;
}

Pair pair_new(const char *from_args, const char *to_args)
{
    return pair_new_with(NULL, from_args, NULL, to_args);
}

void pair_free(Pair *p)
{
    qtest_quit(p->from);
    qtest_quit(p->to);
    g_free(p->uri);
}

void pair_start(Pair *p)
{
    qtest_qmp_ok(p->to, "migrate-incoming", "{'uri': '%s'}", p->uri);
    qtest_qmp_ok(p->from, "migrate", "{'uri': '%s'}", p->uri);
    migration_wait_status(p->from, "active");
}

void pair_to_postcopy(Pair *p)
{
    qtest_qmp_ok(p->from, "migrate-start-postcopy", NULL);
    migration_wait_status(p->from, "postcopy-active");
    migration_wait_status(p->to, "postcopy-active");
    json_object_unref(qtest_event_wait(p->to, "RESUME"));
}

void pair_read_and_finish(Pair *p)
{
    uint64_t page = PAIR_PAGES;
    int64_t before = pair_requests(p);

    for (unsigned i = 0; i < p->reads; i++) {
        page = page * 7 / 8;
        pair_check_page(p->to, page);
        pair_check_page(p->to, PAIR_PAGES - 1 - page);
    }
    g_assert_cmpint(pair_requests(p), >, before + p->reads / 4);
    pair_set_background(p, 0);
    migration_wait_status(p->from, "completed");
    migration_wait_status(p->to, "completed");
    qtest_wait_run_state(p->from, "postmigrate");
    qtest_wait_run_state(p->to, "running");
    pair_check_all(p->to);
}

void pair_run(Pair *p)
{
    pair_start(p);
    pair_to_postcopy(p);
    pair_read_and_finish(p);
    pair_free(p);
}
