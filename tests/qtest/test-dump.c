/*
 * dump-guest-memory: the core file read back, to files and descriptors, detached, refused, broken.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "libqtest.h"

#define MIB (1UL << 20)
#define HIGH (4UL << 30)

/* 8 MiB in two pieces, with something at both ends of each. */
static const uint64_t marks[] = { 0x1000, 5 * MIB, HIGH, HIGH + 2 * MIB - 8 };

static QTestState *start(const char *more)
{
    QTestState *s = qtest_init("-machine q35,max-ram-below-4g=6M -m 8M -smp 2 %s", more);

    for (size_t i = 0; i < G_N_ELEMENTS(marks); i++) {
        qtest_writeq(s, marks[i], marks[i] + 0x1122334455667788);
    }
    return s;
}

/* The notes: for each CPU one of Linux's form, then one with the control registers. */
static void check_notes(const char *at, size_t size)
{
    static const struct { const char *name; unsigned type, size; } expected[] = {
        { "CORE", NT_PRSTATUS, 336 }, { "CORE", NT_PRSTATUS, 336 },
        { "QEMU", 0, 440 }, { "QEMU", 0, 440 },
    };
    const char *end = at + size;

    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        Elf64_Nhdr note;
        uint32_t word;

        memcpy(&note, at, sizeof(note));
        g_assert_cmpuint(note.n_namesz, ==, 5);
        g_assert_cmpstr(at + sizeof(note), ==, expected[i].name);
        g_assert_cmpuint(note.n_type, ==, expected[i].type);
        g_assert_cmpuint(note.n_descsz, ==, expected[i].size);
        at += sizeof(note) + 8;
        if (i < 2) {
            uint64_t rip, cs;

            memcpy(&word, at + 32, 4); /* pr_pid */
            memcpy(&rip, at + 112 + 16 * 8, 8);
            memcpy(&cs, at + 112 + 17 * 8, 8);
            g_assert_cmpuint(word, ==, i + 1);
            g_assert_cmphex(rip, ==, 0xfff0); /* never started */
            g_assert_cmphex(cs, ==, 0xf000);
        } else {
            uint64_t cr0;

            memcpy(&word, at, 4); /* version */
            memcpy(&cr0, at + 392, 8);
            g_assert_cmpuint(word, ==, 1);
            g_assert_cmphex(cr0, ==, 0x60000010);
        }
        at += note.n_descsz;
    }
    g_assert_true(at == end);
}

/* The file: [begin, end) of each piece of memory, as it is in the machine. */
static void check_file(QTestState *s, const char *path, const uint64_t (*ranges)[2], unsigned n)
{
    g_autofree char *file = NULL;
    Elf64_Ehdr elf;
    Elf64_Phdr ph[3];
    gsize size;

    g_assert_true(g_file_get_contents(path, &file, &size, NULL));
    memcpy(&elf, file, sizeof(elf));
    g_assert_cmpint(memcmp(elf.e_ident, "\177ELF\2\1\1", 7), ==, 0);
    g_assert_cmpuint(elf.e_type, ==, ET_CORE);
    g_assert_cmpuint(elf.e_machine, ==, EM_X86_64);
    g_assert_cmpuint(elf.e_phnum, ==, n + 1);
    memcpy(ph, file + elf.e_phoff, (n + 1) * sizeof(ph[0]));
    g_assert_cmpuint(ph[0].p_type, ==, PT_NOTE);
    check_notes(file + ph[0].p_offset, ph[0].p_filesz);
    for (unsigned i = 0; i < n; i++) {
        const Elf64_Phdr *p = &ph[i + 1];
        g_autofree char *memory = g_malloc(p->p_filesz);

        g_assert_cmpuint(p->p_type, ==, PT_LOAD);
        g_assert_cmphex(p->p_paddr, ==, ranges[i][0]);
        g_assert_cmphex(p->p_filesz, ==, ranges[i][1] - ranges[i][0]);
        g_assert_cmphex(p->p_memsz, ==, p->p_filesz);
        g_assert_cmpuint(p->p_offset + p->p_filesz, <=, size);
        qtest_memread(s, p->p_paddr, memory, p->p_filesz);
        g_assert_cmpint(memcmp(memory, file + p->p_offset, p->p_filesz), ==, 0);
    }
    g_assert_cmpuint(ph[n].p_offset + ph[n].p_filesz, ==, size);
}

static void check_query(QTestState *s, const char *status, gint64 completed)
{
    g_autoptr(JsonObject) r = qtest_qmp_object(s, "query-dump", NULL);

    g_assert_cmpstr(json_object_get_string_member(r, "status"), ==, status);
    g_assert_cmpint(json_object_get_int_member(r, "completed"), ==, completed);
}

static const uint64_t all[][2] = { { 0, 6 * MIB }, { HIGH, HIGH + 2 * MIB } };

static void test_file(void)
{
    static const uint64_t part[][2] = { { 0x1000, 0x3000 } };
    static const uint64_t over[][2] = { { 5 * MIB, 6 * MIB }, { HIGH, HIGH + MIB } };
    QTestState *s = start("");
    g_autofree char *path = qtest_path(s, "core"), *out = NULL;

    check_query(s, "none", 0);
    qtest_qmp_ok(s, "dump-guest-memory", "{'paging': false, 'protocol': 'file:%s'}", path);
    check_file(s, path, all, 2);
    check_query(s, "completed", 8 * MIB);
    json_object_unref(qtest_event_wait(s, "DUMP_COMPLETED"));
    qtest_qmp_ok(s, "dump-guest-memory", "{'paging': false, 'protocol': 'file:%s', "
                 "'format': 'elf', 'begin': 4096, 'length': 8192}", path);
    check_file(s, path, part, 1);
    out = qtest_hmp(s, "dump-guest-memory %s %lu %lu", path, 5 * MIB, HIGH - 4 * MIB);
    g_assert_cmpstr(out, ==, "");
    check_file(s, path, over, 2);
    g_free(out);
    out = qtest_hmp(s, "info dump");
    g_assert_cmpstr(out, ==, "Status: completed\r\n");
    qtest_quit(s);
}

static int give_pipe(QTestState *s)
{
    int fds[2];

    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    json_node_unref(qtest_qmp_fd(s, fds[1], "getfd", "{'fdname': 'dump'}"));
    close(fds[1]);
    return fds[0];
}

static void expect(QTestState *s, const char *command, const char *args, const char *text)
{
    g_autofree char *err = qtest_qmp_error(s, command, args, "");

    if (!strstr(err, text)) {
        g_error("%s %s: %s", command, args, err);
    }
}

#define DETACHED "{'paging': false, 'protocol': 'fd:dump', 'detach': true}"

static void completed_event(QTestState *s, const char *status)
{
    g_autoptr(JsonObject) event = qtest_event_wait(s, "DUMP_COMPLETED");
    JsonObject *data = json_object_get_object_member(event, "data");
    JsonObject *result = json_object_get_object_member(data, "result");

    g_assert_true(json_object_has_member(data, "error") == !strcmp(status, "failed"));
    g_assert_cmpstr(json_object_get_string_member(result, "status"), ==, status);
}

/* Through a pipe, as libvirt asks for it; the guest, which runs, goes on afterwards. */
static void test_detached(void)
{
    QTestState *s = start("");
    g_autofree char *path = qtest_path(s, "core"), *data = g_malloc(16 * MIB);
    size_t have = 0;
    ssize_t n;
    int fd = give_pipe(s);

    qtest_qmp_ok(s, "cont", NULL);
    qtest_qmp_ok(s, "dump-guest-memory", DETACHED);
    qtest_wait_run_state(s, "save-vm");
    check_query(s, "active", 0); /* the first MiB does not fit into a pipe */
    expect(s, "dump-guest-memory", DETACHED, "a dump of the memory is in progress");
    expect(s, "migrate", "{'uri': 'exec:cat'}", "a dump of the memory is in progress");
    expect(s, "cont", NULL, "a dump of the memory is in progress");
    while ((n = read(fd, data + have, 16 * MIB - have)) > 0) {
        have += n;
    }
    close(fd);
    completed_event(s, "completed");
    qtest_wait_run_state(s, "running");
    g_assert_true(g_file_set_contents(path, data, have, NULL));
    check_file(s, path, all, 2);
    qtest_quit(s);
}

static void test_broken(void)
{
    QTestState *s = start("");
    int fd = give_pipe(s);

    qtest_qmp_ok(s, "stop", NULL);
    qtest_qmp_ok(s, "dump-guest-memory", DETACHED);
    close(fd);
    completed_event(s, "failed");
    expect(s, "dump-guest-memory", "{'paging': false, 'protocol': 'file:/dev/full'}",
           "No space left on device");
    completed_event(s, "failed");
    check_query(s, "failed", 0);
    qtest_quit(s);
}

/* Nobody reads: the end of the emulator does not wait for it. */
static void test_quit(void)
{
    QTestState *s = start("");
    int fd = give_pipe(s);

    qtest_qmp_ok(s, "cont", NULL);
    qtest_qmp_ok(s, "dump-guest-memory", DETACHED);
    qtest_quit(s);
    close(fd);
}

static void test_refused(void)
{
    QTestState *s = start("-incoming defer");
    g_autoptr(JsonObject) can = qtest_qmp_object(s, "query-dump-guest-memory-capability", NULL);
    JsonArray *formats = json_object_get_array_member(can, "formats");

    g_assert_cmpuint(json_array_get_length(formats), ==, 1);
    g_assert_cmpstr(json_array_get_string_element(formats, 0), ==, "elf");
    expect(s, "dump-guest-memory", "{'paging': false, 'protocol': 'file:/x'}",
           "a migration is in progress");
    qtest_quit(s);
    s = start("");
    expect(s, "dump-guest-memory", "{'paging': true, 'protocol': 'file:/x'}", "paging=true");
    expect(s, "dump-guest-memory", "{'paging': false, 'protocol': 'tcp:x'}", "'tcp:x' is neither");
    expect(s, "dump-guest-memory", "{'paging': false, 'protocol': 'fd:none'}", "'none'");
    expect(s, "dump-guest-memory", "{'paging': false, 'protocol': 'file:/nonexistent/x'}",
           "/nonexistent/x");
    expect(s, "dump-guest-memory", "{'paging': false, 'protocol': 'file:/x', 'begin': 0}",
           "go together");
    expect(s, "dump-guest-memory", "{'paging': false, 'protocol': 'file:/x', 'begin': 8388608, "
           "'length': 4096}", "no memory");
    expect(s, "dump-guest-memory", "{'paging': false, 'protocol': 'file:/x', 'begin': -1, "
           "'length': 4096}", "no range");
    expect(s, "dump-guest-memory", "{'paging': false, 'protocol': 'file:/x', "
           "'format': 'kdump-zlib'}", "kdump-zlib");
    qtest_quit(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dump/file", test_file);
    g_test_add_func("/dump/detached", test_detached);
    g_test_add_func("/dump/broken", test_broken);
    g_test_add_func("/dump/quit", test_quit);
    g_test_add_func("/dump/refused", test_refused);
    return g_test_run();
}
