/*
 * The command line: what is refused (message and status), what is answered, what is
 * accepted.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libqtest.h"

static void complain(const char *args, int status, const char *out, const char *err,
                     const char *want)
{
    fprintf(stderr, "'%s': status %d, stdout '%s', stderr '%s' (expected '%s')\n", args, status,
            out, err, want);
    g_test_fail();
}

/* Exit status 1, nothing on stdout, one line on stderr that has `want` in it. */
static void refused(const char *args, const char *want)
{
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    int status = qtest_run(&out, &err, "%s", args);
    const char *eol = strchr(err, '\n');

    if (status != 1 || *out || !eol || eol[1] || !strstr(err, want)) {
        complain(args, status, out, err, want);
    }
}

/* Exit status 0 and `want` on stdout. */
static void answered(const char *args, const char *want)
{
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    int status = qtest_run(&out, &err, "%s", args);

    if (status != 0 || *err || !strstr(out, want)) {
        complain(args, status, out, err, want);
    }
}

/* Starts, runs and ends. */
static void accepted(const char *args)
{
    qtest_quit(qtest_init("%s", args));
}

static void test_unknown(void)
{
    refused("-nonsense", "unknown option '-nonsense'");
    refused("-devise x", "did you mean '-device'?");
    refused("--machin none", "did you mean '-machine'?");
    refused("disk.img", "not an option");
    refused("-m", "-m needs an argument");
    refused("-vnc :0", "-vnc is not supported");
    refused("-icount 1", "-icount is not supported");
    refused("-loadvm x", "-loadvm is not supported");
    refused("-seed 5", "-seed is not supported");
    refused("-xen-domid 5", "-xen-domid is not supported: there is no Xen");
}

static void test_bad_values(void)
{
    refused("-M nosuch", "no such machine type");
    refused("-M none,colour=red", "colour");
    refused("-M q35,usb=on", "usb=on");
    refused("-M none,accel=nosuch", "nosuch");
    refused("-M none,accel=kvm -accel qtest", "exclude each other");
    refused("-accel nosuch", "unknown accelerator 'nosuch'");
    refused("-accel qtest,x=y", "x");
    refused("-m 0", "must not be 0");
    refused("-m lots", "'lots' is not a size");
    refused("-m 64,maxmem=128,slots=2", "not supported");
    refused("-m 64,colour=red", "unknown parameter 'colour'");
    refused("-smp 0", "'cpus' must not be 0");
    refused("-smp 3,sockets=2,cores=2", "is not maxcpus (3)");
    refused("-smp 2,maxcpus=1", "must not be less");
    refused("-smp 2,clusters=2", "no 'clusters'");
    refused("-smp 100000", "65535");
    refused("-M q35 -smp 256", "more than machine 'pc-q35-11.1' supports (255)");
    refused("-M pc -smp 1,maxcpus=256", "supports (255)");
    refused("-M none -smp 1,colour=red", "unknown parameter 'colour'");
    refused("-uuid 1234", "a UUID looks like");
    refused("-rtc base=never", "never");
    refused("-rtc driftfix=slew", "not supported");
    refused("-boot menu=on", "menu=on");
    refused("-boot order=1", "boot drives");
    refused("-boot colour=red", "colour");
    refused("-display gtk", "'none' is the only choice");
    refused("-vga std", "'none' is the only choice");
    refused("-audio pa", "'none' is the only choice");
    refused("-net user", "use -netdev and -device");
    refused("-parallel stdio", "'none' is the only choice");
    refused("-numa node,nodeid=1", "one NUMA node");
    refused("-overcommit cpu-pm=on", "cpu-pm=on is not supported");
    refused("-action shutdown=explode", "poweroff, pause");
    refused("-action watchdog=reset", "there is no watchdog");
    refused("-watchdog-action reset", "there is no watchdog");
    refused("-run-with colour=red", "colour");
    refused("-run-with user=nosuchuser -M none -accel qtest", "no user 'nosuchuser'");
    refused("-sandbox on,spawn=perhaps", "allow, deny");
    refused("-sandbox maybe", "'on' or 'off'");
    refused("-msg timestamp=x", "'on' or 'off'");
    refused("-d nosuch", "no log item 'nosuch'");
    refused("-trace nosuch_event", "nosuch_event");
    refused("-D /nonexistent/log", "/nonexistent/log");
    refused("-echr x", "not the code of a key");
    refused("-echr 200", "not the code of a key");
    refused("-global nonsense", "DRIVER.PROPERTY=VALUE");
    refused("-M none -accel qtest -global migration.nosuch=1", "nosuch");
    refused("-M none -accel qtest -global isa-serial.nosuch=1", "'isa-serial.nosuch' not found");
    refused("-M q35 -accel qtest -append x", "-append is for the kernel");
    refused("-M none -accel qtest -m 8 -initrd x", "-initrd is for the kernel");
    refused("-compat deprecated-input=x", "accept, reject");
    refused("-name guest=a,colour=red", "colour");
}

static void test_bad_objects(void)
{
    const char *pre = "-M none -accel qtest";
    static const char *const rows[][2] = {
        { "-object nosuch,id=a", "'nosuch'" },
        { "-object secret", "'id' is missing" },
        { "-object id=a", "'qom-type' is missing" },
        { "-object secret,id=a", "either 'data' or 'file'" },
        { "-object secret,id=a,data=x,file=y", "either 'data' or 'file'" },
        { "-object secret,id=a,file=/nonexistent", "/nonexistent" },
        { "-object secret,id=a,data=x,keyid=k", "not supported" },
        { "-object secret,id=a,data=!!,format=base64", "not base64" },
        { "-object secret,id=a,data=x,format=hex", "format" },
        { "-object '{\"qom-type\":\"secret\",'", "JSON" },
        { "-object monitor-qmp,id=m,chardev=none", "must name" },
        { "-object memory-backend-ram,id=m", "size" },
        { "-object memory-backend-memfd,id=m,size=16M,hugetlb=on,hugetlbsize=32M",
          "the host has no huge pages of 32 MiB" },
        { "-device nosuch", "nosuch" },
        { "-device", "needs an argument" },
        { "-device i6300esb", "'i6300esb' is not supported: there is no watchdog" },
        { "-device ib700", "'ib700' is not supported: there is no watchdog" },
        { "-M pc -device pvpanic,events=4", "events=4 is not supported" },
        { "-M pc -device pvpanic -device pvpanic", "0x505 belongs to 'pvpanic'" },
        { "-M pc -device isa-debugcon,iobase=0x70", "0x70 belongs to" },
        { "-M pc -device isa-debug-exit,iobase=0xffff", "do not fit below 0x10000" },
        { "-M pc -device isa-serial,iobase=0x60", "0x60 belongs to" },
        { "-chardev null", "id" },
        { "-chardev nosuch,id=c", "nosuch" },
        { "-chardev socket,id=c,path=/nonexistent/x", "/nonexistent/x" },
        { "-mon chardev=nosuch,mode=control", "nosuch" },
        { "-mon mode=control", "'chardev' is missing" },
        { "-mon chardev=a,mode=remote", "readline, control" },
        { "-qmp bogus:", "bogus" },
        { "-monitor vc", "not supported" },
        { "-serial vc", "not supported" },
        { "-add-fd fd=1,set=1", "standard stream" },
        { "-add-fd fd=77,set=1", "not handed over" },
        { "-add-fd fd=3", "needed" },
        { "-netdev nosuch,id=n", "-netdev nosuch,id=n: there is no netdev type 'nosuch'" },
        { "-netdev socket", "'id' is missing" },
        { "-netdev tap,id=n,vhost=on", "vhost is not supported" },
        { "-nic hubport", "hubport is not supported" },
        { "-nic socket,mcast=230.0.0.1:1234,model=e1000", "e1000" },
        { "-drive file=/nonexistent,format=raw", "/nonexistent" },
        { "-blockdev driver=nbd,node-name=n", "nbd" },
        { "-incoming bogus:x", "bogus" },
        { "-pidfile /nonexistent/pid", "/nonexistent/pid" },
        { "-kernel x", "kernel" },
        { "-bios x", "x" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *args = g_strdup_printf("%s %s", pre, rows[i][0]);
        refused(args, rows[i][1]);
    }
}

static void test_answers(void)
{
    answered("-version", "QEMU emulator version 7.2.22 (Ferry ");
    answered("--version", "QEMU emulator version ");
    answered("-help", "-machine [type=]NAME");
    answered("-h", "usage:");
    answered("-M help", "none ");
    answered("-machine help", "q35");
    answered("-machine q35,help", "usb=<bool>");
    answered("-cpu help", "qemu64");
    answered("-accel help", "kvm");
    answered("-object help", "memory-backend-ram");
    answered("-object memory-backend-ram,help", "size=");
    answered("-device help", "isa-serial");
    answered("-device isa-serial,help", "chardev=");
    answered("-chardev help", "socket");
    answered("-d help", "guest_errors");
    answered("-trace help", "chardev_new");
    refused("-device nosuch,help", "nosuch");
    refused("-object nosuch,help", "nosuch");
}

static void test_accepted(void)
{
    accepted("-M none");
    accepted("--machine none -m 32");
    accepted("-machine none,dump-guest-core=off,mem-merge=off -m size=32M");
    accepted("-M none -nodefaults -no-user-config -vga none -audio none -nic none -net none "
             "-parallel none -audiodev driver=none,id=a -no-shutdown -no-reboot");
    accepted("-M none -name guest=a,debug-threads=on,process=ferrytest "
             "-uuid 12345678-9abc-def0-1234-56789abcdef0 -rtc base=utc,clock=host "
             "-overcommit mem-lock=off -msg timestamp=on,guest-name=on -boot strict=on "
             "-action panic=pause -compat deprecated-input=accept -S");
    accepted("-M none -m 16 -object memory-backend-ram,id=r,size=16M -M memory-backend=r");
    accepted("-M none -m 16 -mem-prealloc");
    accepted("-object '{\"qom-type\":\"secret\",\"id\":\"s\",\"data\":\"x\"}' -M none");
    accepted("-object secret,id=s,data=eA==,format=base64 -M none");
    accepted("-M none -chardev null,id=n -mon n");
    accepted("-M none -monitor null -serial null -trace enable=chardev_new -d unimp");
    accepted("-M none -global isa-serial.index=1 -S -run-with exit-with-parent=on");
    accepted("-M none -incoming defer");
    accepted("-M none -display '{\"type\":\"none\"}' -display type=none,gl=off");
    accepted("-M none -chardev socket,id=s,host=127.0.0.1,port=0,server,nowait");
    accepted("-M pc -nodefaults -m 64 -S");
    accepted("-M q35 -m 64 -smp 2,sockets=1,cores=2 -S");
    accepted("-M pc-i440fx-7.2,usb=off -cpu qemu64 -smp cpus=1,maxcpus=4 -m 64 -serial null -S");
}

static void test_several_accels(void)
{
    QTestState *s = qtest_init("-M none -accel kvm,nosuch=1 -accel qtest");
    g_autoptr(JsonObject) o = qtest_qmp_object(s, "query-kvm", NULL);
    g_autofree char *said = qtest_stderr(s);

    g_assert_false(json_object_get_boolean_member(o, "enabled"));
    g_assert_nonnull(strstr(said, "nosuch"));
    g_assert_nonnull(strstr(said, "-accel qtest is used"));
    qtest_quit(s);
}

static void test_daemonize(void)
{
    g_autofree char *dir = g_dir_make_tmp("ferry-daemon-XXXXXX", NULL);
    g_autofree char *pidfile = g_build_filename(dir, "pid", NULL);
    g_autofree char *sock = g_build_filename(dir, "qmp", NULL);
    g_autofree char *text = NULL;
    g_autofree char *err = NULL;
    g_autofree char *args =
        g_strdup_printf("-M none -accel qtest -nodefaults -nographic -daemonize -pidfile %s "
                        "-qmp unix:%s,server=on,wait=off", pidfile, sock);
    int pid;

    g_assert_cmpint(qtest_run(NULL, &err, "%s", args), ==, 0);
    g_assert_cmpstr(err, ==, "");
    /* All is there when the first process has ended. */
    g_assert_true(g_file_test(sock, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_get_contents(pidfile, &text, NULL, NULL));
    pid = atoi(text);
    g_assert_cmpint(pid, >, 1);
    g_assert_cmpint(getsid(pid), !=, getsid(0));
    /* The pid file is locked. */
    g_autofree char *again = g_strdup_printf("-M none -accel qtest -pidfile %s", pidfile);
    refused(again, "another process holds it");
    g_assert_cmpint(kill(pid, SIGTERM), ==, 0);
    for (int i = 0; i < 5000 && kill(pid, 0) == 0; i++) {
        g_usleep(1000);
    }
    g_assert_cmpint(kill(pid, 0), ==, -1);
    g_assert_false(g_file_test(pidfile, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(sock, G_FILE_TEST_EXISTS));
    refused("-M none -accel qtest -daemonize -nodefaults -mon nosuch", "nosuch");
    refused("-M none -accel qtest -daemonize -nographic", "-daemonize needs");
    refused("-M none -accel qtest -daemonize -monitor stdio", "no terminal");
    refused("-M none -accel qtest -daemonize -run-with exit-with-parent=on", "exclude");
    g_rmdir(dir);
}

static void test_signals(void)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP };

    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
        QTestState *s = qtest_init("-M none -no-shutdown");
        g_autoptr(JsonObject) event = NULL;
        JsonObject *data;

        kill(qtest_pid(s), signals[i]);
        event = qtest_event_wait(s, "SHUTDOWN");
        data = json_object_get_object_member(event, "data");
        g_assert_cmpstr(json_object_get_string_member(data, "reason"), ==, "host-signal");
        g_assert_cmpint(qtest_wait_exit(s), ==, 0);
        qtest_kill(s);
    }
}

static void test_log_file(void)
{
    g_autofree char *dir = g_dir_make_tmp("ferry-log-XXXXXX", NULL);
    g_autofree char *log = g_build_filename(dir, "log-%d", NULL);
    QTestState *s = qtest_init("-M none -D %s -trace chardev_new", log);
    g_autofree char *name = g_strdup_printf("log-%d", (int)qtest_pid(s));
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_nonnull(strstr(text, "chardev_new testqmp: socket"));
    qtest_quit(s);
    g_unlink(path);
    g_rmdir(dir);
}

/* Serial port and monitor share the terminal (here: a pipe) with -nographic. */
static void test_nographic(void)
{
    g_autofree char *out = NULL;
    g_autoptr(GError) err = NULL;
    g_autofree char *command = g_strdup_printf(
        "sh -c \"printf '\\001h\\001cquit\\n' | timeout 20 %s -M none -accel qtest -nographic\"",
        qtest_binary());
    g_autofree char *other_key = g_strdup_printf(
        "sh -c \"printf '\\001c\\024h\\024x' | timeout 20 %s -M none -accel qtest -nographic "
        "-echr 0x14\"", qtest_binary());
    int status;

    g_assert_true(g_spawn_command_line_sync(command, &out, NULL, &status, &err));
    g_assert_cmpint(status, ==, 0);
    g_assert_nonnull(strstr(out, "(qemu)"));
    g_assert_nonnull(strstr(out, "C-a x    leave the emulator"));
    g_clear_pointer(&out, g_free);
    g_assert_true(g_spawn_command_line_sync(other_key, &out, NULL, &status, &err));
    g_assert_cmpint(status, ==, 0);
    g_assert_nonnull(strstr(out, "C-t x    leave the emulator"));
    g_assert_nonnull(strstr(out, "terminated"));
    g_assert_nonnull(strstr(out, "\x1b[Kc")); /* C-a is a key like any other */
}

/* Is there a process called name with this parent? */
static bool have_child(pid_t parent, const char *name)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/children", (int)parent, (int)parent);
    g_autofree char *text = NULL;
    g_auto(GStrv) pids = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    pids = g_strsplit(g_strchomp(text), " ", -1);
    for (char **p = pids; *p; p++) {
        g_autofree char *comm_path = g_strdup_printf("/proc/%s/comm", *p);
        g_autofree char *comm = NULL;
        if (**p && g_file_get_contents(comm_path, &comm, NULL, NULL) &&
            g_str_equal(g_strchomp(comm), name)) {
            return true;
        }
    }
    return false;
}

static bool is_empty(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);

    g_assert_nonnull(dir);
    return !g_dir_read_name(dir);
}

/*
 * The second process is there, has no descriptors, and goes when the first has gone.  It may
 * begin later than the first answers.
 */
static void test_async_teardown(void)
{
    QTestState *s = qtest_init("-M none -m 16 -run-with async-teardown=on");
    g_autofree char *name = g_strdup_printf("cleanup/%d", (int)qtest_pid(s));
    g_autofree char *children = g_strdup_printf("/proc/%d/task/%d/children", (int)qtest_pid(s),
                                                (int)qtest_pid(s));
    g_autofree char *text = NULL;

    for (int i = 0; i < 500 && !have_child(qtest_pid(s), name); i++) {
        g_usleep(10000);
    }
    g_assert_true(have_child(qtest_pid(s), name));
    g_assert_true(g_file_get_contents(children, &text, NULL, NULL));
    g_autofree char *proc = g_strdup_printf("/proc/%s", g_strchomp(text));
    g_autofree char *fds = g_build_filename(proc, "fd", NULL);
    for (int i = 0; i < 500 && !is_empty(fds); i++) {
        g_usleep(10000);
    }
    g_assert_true(is_empty(fds));
    qtest_quit(s);
    for (int i = 0; i < 500 && g_file_test(proc, G_FILE_TEST_EXISTS); i++) {
        g_usleep(10000);
    }
    g_assert_false(g_file_test(proc, G_FILE_TEST_EXISTS));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cmdline/unknown", test_unknown);
    g_test_add_func("/cmdline/bad-values", test_bad_values);
    g_test_add_func("/cmdline/bad-objects", test_bad_objects);
    g_test_add_func("/cmdline/answers", test_answers);
    g_test_add_func("/cmdline/accepted", test_accepted);
    g_test_add_func("/cmdline/several-accels", test_several_accels);
    g_test_add_func("/cmdline/daemonize", test_daemonize);
    g_test_add_func("/cmdline/signals", test_signals);
    g_test_add_func("/cmdline/log-file", test_log_file);
    g_test_add_func("/cmdline/nographic", test_nographic);
    g_test_add_func("/cmdline/async-teardown", test_async_teardown);
    return g_test_run();
}
