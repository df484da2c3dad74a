/*
 * Machines whose memory is a file.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration-file-ram.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define PAGE 4096
#define CHUNK (2 << 20)
#define SPARSE_MIB 1024
#define POLL_MS 5

/*
 * Runs of 1 to 200 pages, a third of them zero; from SPARSE_MIB on 19 of 20, so that a large
 * machine costs little.
 */
static void write_memory(const char *path, unsigned mib)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(mib);
    gsize size = (gsize)mib << 20, page = 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    g_assert_cmpint(ftruncate(fd, size), ==, 0);
    while (page < size / PAGE) {
        gsize n = g_rand_int_range(rand, 1, 200);
        bool zero = mib < SPARSE_MIB ? g_rand_int_range(rand, 0, 3) == 0
                                     : g_rand_int_range(rand, 0, 20) > 0;

        for (; n && page < size / PAGE; n--, page++) {
            uint32_t words[PAGE / 4];

            if (!zero) {
                for (unsigned i = 0; i < PAGE / 4; i++) {
                    words[i] = g_rand_int(rand);
                }
                g_assert_cmpint(pwrite(fd, words, PAGE, page * PAGE), ==, PAGE);
            }
        }
    }
    close(fd);
}

static QTestState *start(const char *program, const char *machine, unsigned mib, const char *mem,
                         const char *more)
{
    QTestState *s;
    g_autofree char *args = g_strdup_printf(
        "-machine %s,memory-backend=m -m %uM -object "
        "memory-backend-file,id=m,size=%uM,mem-path=%s,share=on %s", machine, mib, mib, mem, more);

    qtest_use_binary(program);
    s = program ? qtest_init_qmp("-nodefaults -accel tcg %s", args) : qtest_init("%s", args);
    qtest_use_binary(NULL);
    mig_cap(s, "events", true);
    qtest_qmp_ok(s, "migrate-set-parameters", "{'max-bandwidth': 0}");
    return s;
}

static FilePair new_files(unsigned mib)
{
    FilePair p = { .mib = mib };

    /* In shared memory: postcopy works there. */
    p.dir = g_strdup("/dev/shm/ferry-pair-XXXXXX");
    g_assert_nonnull(g_mkdtemp(p.dir));
    p.from_mem = file_pair_path(&p, "from.mem");
    p.to_mem = file_pair_path(&p, "to.mem");
    write_memory(p.from_mem, mib);
    return p;
}

FilePair file_pair_source_of(const char *program, const char *machine, unsigned mib,
                             const char *more)
{
    FilePair p = new_files(mib);

    p.from = start(program, machine, mib, p.from_mem, more);
    return p;
}

FilePair file_pair_source(const char *machine, unsigned mib, const char *more)
{
    return file_pair_source_of(NULL, machine, mib, more);
}

void file_pair_destination(FilePair *p, const char *program, const char *machine,
                           const char *incoming, const char *more)
{
    g_autofree char *args = g_strdup_printf("-incoming %s %s", incoming, more);

    g_unlink(p->to_mem);
    qtest_use_binary(program);
    if (!strcmp(incoming, "defer")) {
        p->to = start(program, machine, p->mib, p->to_mem, args);
    } else {
        g_assert_null(program);
        p->to = qtest_init("-machine %s,memory-backend=m -m %uM -object "
                           "memory-backend-file,id=m,size=%uM,mem-path=%s,share=on %s", machine,
                           p->mib, p->mib, p->to_mem, args);
    }
    qtest_use_binary(NULL);
}

FilePair file_pair_new(const char *from_program, const char *to_program, const char *machine,
                       unsigned mib, const char *more)
{
    FilePair p = file_pair_source_of(from_program, machine, mib, more);

    file_pair_destination(&p, to_program, machine, "defer", more);
    return p;
}

void file_pair_free(FilePair *p)
{
    g_autoptr(GDir) d = g_dir_open(p->dir, 0, NULL);
    const char *name;

    if (p->from) {
        qtest_quit(p->from);
    }
    if (p->to) {
        qtest_quit(p->to);
    }
    while (d && (name = g_dir_read_name(d))) {
        g_autofree char *path = file_pair_path(p, name);

        g_unlink(path);
    }
    g_rmdir(p->dir);
    g_free(p->dir);
    g_free(p->from_mem);
    g_free(p->to_mem);
}

void file_pair_compare(FilePair *p)
{
    g_autofree char *a = g_malloc(CHUNK), *b = g_malloc(CHUNK);
    int from = open(p->from_mem, O_RDONLY | O_CLOEXEC), to = open(p->to_mem, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    for (gsize at = 0; (n = pread(from, a, CHUNK, at)) > 0; at += n) {
        g_assert_cmpint(pread(to, b, CHUNK, at), ==, n);
        for (ssize_t i = 0; i < n && memcmp(a, b, n); i += PAGE) {
            if (memcmp(a + i, b + i, PAGE)) {
                g_error("memory differs at 0x%zx", at + i);
            }
        }
    }
    g_assert_cmpint(n, ==, 0);
    g_assert_cmpint(lseek(from, 0, SEEK_END), ==, lseek(to, 0, SEEK_END));
    close(from);
    close(to);
}

char *file_pair_path(const FilePair *p, const char *name)
{
    return g_build_filename(p->dir, name, NULL);
}

void mig_cap(QTestState *s, const char *name, bool on)
{
    qtest_qmp_ok(s, "migrate-set-capabilities",
                 "{'capabilities': [{'capability': '%s', 'state': %s}]}", name,
                 on ? "true" : "false");
}

JsonObject *mig_wait(QTestState *s, const char *status)
{
    for (int i = 0; i < QTEST_TIMEOUT * 1000 / POLL_MS; i++) {
        g_autoptr(JsonObject) info = qtest_qmp_object(s, "query-migrate", NULL);
        const char *now = json_object_get_string_member_with_default(info, "status", "none");

        if (!strcmp(now, status)) {
            return g_steal_pointer(&info);
        }
        if (!strcmp(now, "failed") || !strcmp(now, "completed") || !strcmp(now, "cancelled")) {
            g_error("the migration is %s instead of %s: %s", now, status,
                    json_object_get_string_member_with_default(info, "error-desc", ""));
        }
        g_usleep(POLL_MS * 1000);
    }
    g_error("the migration did not become %s", status);
}

void file_pair_migrate(FilePair *p, const char *to_uri, const char *from_uri)
{
    if (to_uri) {
        qtest_qmp_ok(p->to, "migrate-incoming", "{'uri': '%s'}", to_uri);
    }
    qtest_qmp_ok(p->from, "migrate", "{'uri': '%s'}", from_uri);
    json_object_unref(mig_wait(p->from, "completed"));
    json_object_unref(mig_wait(p->to, "completed"));
    file_pair_compare(p);
}

char *mig_events(QTestState *s)
{
    GString *list = g_string_new(NULL);
    JsonObject *e;

    /* Commands were answered since: what there is to come has come. */
    while ((e = qtest_event_poll(s, NULL, 0))) {
        const char *name = json_object_get_string_member(e, "event");

        if (!strcmp(name, "MIGRATION")) {
            name = json_object_get_string_member(json_object_get_object_member(e, "data"),
                                                 "status");
        }
        /* However many passes it took. */
        if (strcmp(name, "MIGRATION_PASS") || !g_str_has_suffix(list->str, "PASS")) {
            g_string_append_printf(list, "%s%s", list->len ? "," : "",
                                   strcmp(name, "MIGRATION_PASS") ? name : "PASS");
        }
        json_object_unref(e);
    }
    return g_string_free(list, false);
}
