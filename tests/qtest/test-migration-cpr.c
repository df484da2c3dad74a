/*
 * Checkpoint and restart: a new program takes the guest over on the same host, with its
 * memory where it is.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "migration-file-ram.h"
#include "migration-helpers.h"

#define MIB 32

static const char *usual(void)
{
    return qtest_have_kvm() ? "kvm" : "interp";
}

static void set_mode(QTestState *s, const char *mode)
{
    qtest_qmp_ok(s, "migrate-set-parameters", "{'mode': '%s'}", mode);
}

/* ---- cpr-reboot ---- */

/* Memory stays in its file; what is saved is small; the guest goes on in another program. */
static void test_reboot(gconstpointer accel)
{
    g_autofree char *dir = NULL, *mem = NULL, *path = NULL, *memory = NULL;
    GuestConfig c = { .accel = accel, .mib = MIB };
    GuestStatus before, after;
    struct stat st;

    if (guest_skip_accel(accel)) {
        return;
    }
    dir = g_strdup("/dev/shm/ferry-cpr-XXXXXX");
    g_assert_nonnull(g_mkdtemp(dir));
    mem = g_build_filename(dir, "mem", NULL);
    path = g_build_filename(dir, "state", NULL);
    memory = g_strdup_printf("-m %dM -machine memory-backend=m -object "
                             "memory-backend-file,id=m,size=%dM,mem-path=%s,share=on", MIB, MIB, mem);
    c.memory = memory;
    GuestVm *from = guest_start(&c);
    mig_set_caps(from, "x-ignore-shared", NULL);
    set_mode(from->s, "cpr-reboot");
    guest_status(from, &before);
    qtest_qmp_ok(from->s, "migrate", "{'uri': 'file:%s'}", path);
    mig_wait_status(from, "completed");
    qtest_wait_run_state(from->s, "postmigrate");
    g_assert_true(g_str_has_prefix(from->events->str, "setup active STOP "));
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, <, 256 * 1024);
    guest_quit(from);

    GuestVm *to = guest_start_incoming(&c);
    mig_set_caps(to, "x-ignore-shared", NULL);
    set_mode(to->s, "cpr-reboot");
    qtest_qmp_ok(to->s, "migrate-incoming", "{'uri': 'file:%s'}", path);
    mig_wait_status(to, "completed");
    guest_wait_progress(to);
    guest_status(to, &after);
    g_assert_cmpuint(after.visits, >, before.visits);
    guest_verify(to);
    guest_quit(to);
    g_unlink(mem);
    g_unlink(path);
    g_rmdir(dir);
}

/* Memory that is not shared goes into the file, once. */
static void test_reboot_copied(void)
{
    GuestConfig c = { .accel = usual(), .mib = 24 };
    GuestVm *from = guest_start(&c), *to = guest_start_incoming(&c);

    mig_set_caps(from, NULL);
    mig_set_caps(to, NULL);
    set_mode(from->s, "cpr-reboot");
    set_mode(to->s, "cpr-reboot");
    mig_set_limits(from, 0, 300);
    mig_start(from, to, MIG_FILE, false);
    mig_wait_status(to, "completed");
    g_assert_cmpint(mig_ram_stat(from, "normal") + mig_ram_stat(from, "duplicate"), ==,
                    24 * 256);
    guest_verify(to);
    guest_quit(from);
    guest_quit(to);
}

/* When it cannot be written the guest goes on. */
static void test_reboot_failed(void)
{
    GuestConfig c = { .accel = usual(), .mib = 24 };
    GuestVm *from = guest_start(&c);

    mig_set_caps(from, NULL);
    set_mode(from->s, "cpr-reboot");
    mig_set_limits(from, 0, 300);
    g_string_truncate(from->events, 0);
    qtest_qmp_ok(from->s, "migrate", "{'uri': 'exec:head -c 1000000 > /dev/null'}");
    mig_collect(from, 1000);
    g_assert_nonnull(strstr(from->events->str, "STOP"));
    g_assert_nonnull(strstr(from->events->str, "RESUME"));
    g_assert_nonnull(strstr(from->events->str, "failed"));
    qtest_wait_run_state(from->s, "running");
    guest_verify(from);
    guest_quit(from);
}

static void test_refused(void)
{
    QTestState *s = qtest_init("-machine none -m 16M");

    mig_cap(s, "background-snapshot", true);
    set_mode(s, "cpr-reboot");
    g_autofree char *err = qtest_qmp_error(s, "migrate", "{'uri': 'file:/dev/null'}");
    g_assert_nonnull(strstr(err, "mode 'cpr-reboot'"));
    mig_cap(s, "background-snapshot", false);
    qtest_quit(s);
}

/* ---- cpr-transfer, cpr-exec: the guest that counts its rounds ---- */

#define ROUNDS (0x20000 + 4)

typedef struct Starter {
    char *args;
    QTestState *s;
    int ready, over; /* atomic */
} Starter;

static char *counting_args(const char *memory, const char *more)
{
    return g_strdup_printf("-machine q35,memory-backend=m -accel %s -m 32M -nodefaults -object %s "
                           "-drive if=none,id=d,file=%s,format=raw,readonly=on -device ide-hd,drive=d %s",
                           usual(), memory, g_getenv("FERRY_SLEEP_IMAGE"), more);
}

/*
 * It says nothing before the source has handed its memory over.  The thread stays: a machine
 * ends with the thread that started it.
 */
static gpointer start_blocked(gpointer opaque)
{
    Starter *st = opaque;

    st->s = qtest_init("%s", st->args);
    g_atomic_int_set(&st->ready, 1);
    while (!g_atomic_int_get(&st->over)) {
        g_usleep(5000);
    }
    return NULL;
}

static void wait_file(const char *path)
{
    for (int i = 0; i < 3000 && access(path, F_OK); i++) {
        g_usleep(10000);
    }
    g_assert_cmpint(access(path, F_OK), ==, 0);
}

static void wait_rounds(QTestState *s, uint32_t after)
{
    for (int i = 0; i < 1000; i++) {
        if (qtest_readl(s, ROUNDS) > after) {
            return;
        }
        g_usleep(5000);
    }
    g_error("the guest does not run");
}

#define MEMFD "memory-backend-memfd,id=m,size=32M,share=on"

static void migrate_channels(QTestState *s, const char *main_path, const char *cpr_path)
{
    qtest_qmp_ok(s, "migrate", "{'channels': ["
                 "{'channel-type': 'main', 'addr': {'transport': 'socket', 'type': 'unix', 'path': '%s'}},"
                 "{'channel-type': 'cpr', 'addr': {'transport': 'socket', 'type': 'unix', 'path': '%s'}}]}",
                 main_path, cpr_path);
}

static void test_transfer(gconstpointer defer)
{
    g_autofree char *dir = g_dir_make_tmp("ferry-cpr-XXXXXX", NULL);
    g_autofree char *main_path = g_build_filename(dir, "main", NULL);
    g_autofree char *cpr_path = g_build_filename(dir, "cpr", NULL);
    g_autofree char *args = counting_args(MEMFD, "");
    g_autofree char *main_uri = g_strdup_printf("unix:%s", main_path);
    g_autofree char *incoming = g_strdup_printf(
        "-incoming %s -incoming channel-type=cpr,addr.transport=socket,addr.type=unix,addr.path=%s",
        defer ? "defer" : main_uri, cpr_path);
    Starter st = { .args = counting_args(MEMFD, incoming) };
    GThread *t;

    QTestState *from = qtest_init("%s", args);
    mig_cap(from, "events", true);
    set_mode(from, "cpr-transfer");
    wait_rounds(from, 100);
    qtest_memset(from, 16 << 20, 0x3c, 8 << 20);
    t = g_thread_new("start", start_blocked, &st);
    wait_file(cpr_path);
    uint32_t before = qtest_readl(from, ROUNDS);
    migrate_channels(from, main_path, cpr_path);
    while (!g_atomic_int_get(&st.ready)) {
        g_usleep(1000);
    }
    if (defer) {
        g_autoptr(JsonObject) params = qtest_qmp_object(st.s, "query-migrate-parameters", NULL);

        g_assert_cmpstr(json_object_get_string_member(params, "mode"), ==, "cpr-transfer");
        qtest_qmp_ok(st.s, "migrate-incoming", "{'uri': '%s'}", main_uri);
    }
    json_object_unref(mig_wait(st.s, "completed"));
    g_autoptr(JsonObject) info = mig_wait(from, "completed");
    JsonObject *ram = json_object_get_object_member(info, "ram");
    g_assert_cmpint(json_object_get_int_member(ram, "normal"), ==, 0);
    g_assert_cmpint(json_object_get_int_member(ram, "duplicate"), ==, 0);
    qtest_wait_run_state(from, "postmigrate");
    qtest_quit(from);
    wait_rounds(st.s, before);
    g_assert_cmpint(qtest_readb(st.s, (24 << 20) - 1), ==, 0x3c);
    qtest_quit(st.s);
    g_atomic_int_set(&st.over, 1);
    g_thread_join(t);
    g_free(st.args);
    g_unlink(main_path);
    g_unlink(cpr_path);
    g_rmdir(dir);
}

/* The other side goes away before it has anything: the guest runs on, and may try again. */
static void test_transfer_failed(void)
{
    g_autofree char *args = counting_args(MEMFD, "");
    QTestState *s = qtest_init("%s", args);

    mig_cap(s, "events", true);
    set_mode(s, "cpr-transfer");
    wait_rounds(s, 1);
    migrate_channels(s, "/nowhere/main", "/nowhere/cpr");
    g_autoptr(JsonObject) info = mig_wait(s, "failed");
    g_assert_nonnull(strstr(json_object_get_string_member(info, "error-desc"), "cpr channel: "));
    qtest_wait_run_state(s, "running");
    wait_rounds(s, qtest_readl(s, ROUNDS));
    g_autofree char *none = qtest_qmp_error(s, "migrate", "{'uri': 'unix:/nowhere/main'}");
    g_assert_nonnull(strstr(none, "needs a channel of type cpr"));
    set_mode(s, "normal");
    g_autofree char *cpr = qtest_qmp_error(
        s, "migrate", "{'channels': ["
        "{'channel-type': 'main', 'addr': {'transport': 'file', 'filename': '/dev/null', 'offset': 0}},"
        "{'channel-type': 'cpr', 'addr': {'transport': 'socket', 'type': 'unix', 'path': '/x'}}]}");
    g_assert_nonnull(strstr(cpr, "'cpr-transfer' only"));
    qtest_quit(s);
}

static uint32_t word_of(const uint8_t *mem, uint64_t at)
{
    return __atomic_load_n((const uint32_t *)(mem + at), __ATOMIC_RELAXED);
}

static void set_command(QTestState *s, const char *words)
{
    qtest_qmp_ok(s, "migrate-set-parameters", "{'cpr-exec-command': [%s]}", words);
}

static void exec_refused(QTestState *s, const char *uri, const char *part)
{
    g_autofree char *err = qtest_qmp_error(s, "migrate", "{'uri': '%s'}", uri);

    if (!strstr(err, part)) {
        g_error("'%s' is not in '%s'", part, err);
    }
}

/* Arguments as words of JSON; the last one gets the file's name behind it. */
static char *json_words(const char *args, const char *last)
{
    g_autoptr(GString) words = g_string_new(NULL);
    g_auto(GStrv) split = g_strsplit(args, " ", -1);

    g_string_append_printf(words, "'%s'", g_getenv("FERRY_BINARY"));
    for (char **w = split; *w; w++) {
        if (**w) {
            g_string_append_printf(words, ", '%s%s'", *w, w[1] ? "" : last);
        }
    }
    return g_string_free(g_steal_pointer(&words), false);
}

/* A program that cannot be run: the guest goes on. */
static void exec_broken(QTestState *s, const char *dir, const char *uri)
{
    g_autofree char *broken = g_build_filename(dir, "broken", NULL);
    g_autofree char *word = g_strdup_printf("'%s'", broken);

    g_assert_true(g_file_set_contents(broken, "\1\2\3", 3, NULL));
    g_assert_cmpint(chmod(broken, 0700), ==, 0);
    set_command(s, word);
    qtest_qmp_ok(s, "migrate", "{'uri': '%s'}", uri);
    g_autoptr(JsonObject) info = mig_wait(s, "failed");
    g_assert_nonnull(strstr(json_object_get_string_member(info, "error-desc"), "cannot become"));
    wait_rounds(s, qtest_readl(s, ROUNDS));
    g_unlink(broken);
}

/* The process has become the one with -incoming. */
static void wait_exec(QTestState *s)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int)qtest_pid(s));

    for (int i = 0; i < 4000; i++) {
        g_autofree char *cmdline = NULL;
        gsize len = 0;

        if (g_file_get_contents(path, &cmdline, &len, NULL) && len &&
            memmem(cmdline, len, "-incoming", strlen("-incoming"))) {
            return;
        }
        g_usleep(5000);
    }
    g_error("the program did not become another");
}

/* The memory's file has no name any more: only its descriptor leads there. */
static void test_exec(void)
{
    g_autofree char *dir = g_strdup("/dev/shm/ferry-cpr-XXXXXX");
    g_assert_nonnull(g_mkdtemp(dir));
    g_autofree char *mem_path = g_build_filename(dir, "mem", NULL);
    g_autofree char *state = g_build_filename(dir, "state", NULL);
    g_autofree char *uri = g_strdup_printf("file:%s", state);
    g_autofree char *backend = g_strdup_printf("memory-backend-file,id=m,size=32M,mem-path=%s,"
                                               "share=on", mem_path);
    g_autofree char *args = counting_args(backend, "");
    g_autofree char *again = counting_args(backend, "-display none -incoming file:");
    g_autofree char *words = json_words(again, state);
    QTestState *s = qtest_init("%s", args);
    int fd = open(mem_path, O_RDWR);
    uint8_t *mem = mmap(NULL, 32 << 20, PROT_READ, MAP_SHARED, fd, 0);

    g_assert_true(mem != MAP_FAILED);
    wait_rounds(s, 100);
    g_unlink(mem_path);
    mig_cap(s, "events", true);
    set_mode(s, "cpr-exec");
    exec_refused(s, uri, "cpr-exec-command");
    set_command(s, "'/nowhere/at/all'");
    exec_refused(s, uri, "there is no program");
    set_command(s, words);
    exec_refused(s, "unix:/x", "needs a file");
    exec_broken(s, dir, uri);

    set_command(s, words);
    uint32_t before = word_of(mem, ROUNDS);
    qtest_qmp_ok(s, "migrate", "{'uri': '%s'}", uri);
    wait_exec(s);
    uint32_t then = word_of(mem, ROUNDS);
    g_assert_cmpuint(then, >=, before);
    for (int i = 0; i < 4000 && word_of(mem, ROUNDS) < then + 100; i++) {
        g_usleep(5000);
    }
    g_assert_cmpuint(word_of(mem, ROUNDS), >=, then + 100);
    g_assert_cmpint(access(mem_path, F_OK), !=, 0);
    qtest_kill(s);
    munmap(mem, 32 << 20);
    close(fd);
    g_unlink(state);
    g_rmdir(dir);
}

/* The human monitor takes the command as a shell would. */
static void test_hmp(void)
{
    QTestState *s = qtest_init("-machine none");
    qtest_qmp_ok(s, "human-monitor-command",
                 "{'command-line': 'migrate_set_parameter cpr-exec-command \\\"/bin/a b  c\\\"'}");
    g_autoptr(JsonObject) params = qtest_qmp_object(s, "query-migrate-parameters", NULL);
    JsonArray *words = json_object_get_array_member(params, "cpr-exec-command");
    g_autofree char *with = qtest_hmp(s, "info migrate_parameters");
    qtest_qmp_ok(s, "human-monitor-command",
                 "{'command-line': 'migrate_set_parameter cpr-exec-command \\\"\\\"'}");
    g_autofree char *mode = qtest_hmp(s, "migrate_set_parameter mode cpr-exec");
    g_autofree char *shown = qtest_hmp(s, "info migrate_parameters");

    g_assert_cmpuint(json_array_get_length(words), ==, 3);
    g_assert_cmpstr(json_array_get_string_element(words, 2), ==, "c");
    g_assert_nonnull(strstr(with, "/bin/a"));
    g_assert_cmpstr(mode, ==, "");
    g_assert_nonnull(strstr(shown, "mode: cpr-exec"));
    g_assert_null(strstr(shown, "/bin/a"));
    qtest_quit(s);
}

/* Memory that only this process has cannot be handed over. */
static void test_private(void)
{
    QTestState *s = qtest_init("-machine none -m 16M");

    set_mode(s, "cpr-exec");
    qtest_qmp_ok(s, "migrate-set-parameters", "{'cpr-exec-command': ['true']}");
    g_autofree char *err = qtest_qmp_error(s, "migrate", "{'uri': 'file:/dev/null'}");
    g_assert_nonnull(strstr(err, "'ram'"));
    g_assert_nonnull(strstr(err, "share=on"));
    qtest_quit(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/cpr/reboot/kvm", "kvm", test_reboot);
    g_test_add_data_func("/cpr/reboot/interp", "interp", test_reboot);
    g_test_add_func("/cpr/reboot/copied", test_reboot_copied);
    g_test_add_func("/cpr/reboot/failed", test_reboot_failed);
    g_test_add_func("/cpr/refused", test_refused);
    g_test_add_data_func("/cpr/transfer/uri", NULL, test_transfer);
    g_test_add_data_func("/cpr/transfer/defer", "defer", test_transfer);
    g_test_add_func("/cpr/transfer/failed", test_transfer_failed);
    g_test_add_func("/cpr/exec", test_exec);
    g_test_add_func("/cpr/private", test_private);
    g_test_add_func("/cpr/hmp", test_hmp);
    return g_test_run();
}
