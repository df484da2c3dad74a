/*
 * Unit tests of migration/cpr-state.c and of kept descriptors: there and back over a
 * socket and a file, and what is not believed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "migration/cpr-state.h"
#include "system/kept-fds.h"
#include "system/ramblock.h"
#include "util/util.h"

static int a_memfd(const char *text)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    g_assert_cmpint(write(fd, text, strlen(text)), ==, strlen(text));
    return fd;
}

static GArray *two(void)
{
    GArray *fds = g_array_new(false, true, sizeof(CprFd));
    CprFd a = { .name = "pc.ram", .fd = a_memfd("first") };
    CprFd b = { .name = "m", .id = -3, .fd = a_memfd("second") };

    g_array_append_val(fds, a);
    g_array_append_val(fds, b);
    return fds;
}

static void expect(const char *name, int id, const char *text)
{
    char buf[16] = "";
    int fd = kept_fd_take(name, id);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pread(fd, buf, sizeof(buf) - 1, 0), ==, strlen(text));
    g_assert_cmpstr(buf, ==, text);
    close(fd);
    g_assert_cmpint(kept_fd_take(name, id), ==, -1);
}

static void test_socket(void)
{
    g_autoptr(GArray) fds = two();
    g_autoptr(Error) err = NULL;
    int s[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), ==, 0);
    g_assert_true(cpr_state_write(s[0], true, fds, &err));
    g_assert_true(cpr_state_read(s[1], true, kept_fd_add, &err));
    g_assert_no_error(err);
    for (guint i = 0; i < fds->len; i++) {
        close(g_array_index(fds, CprFd, i).fd);
    }
    g_assert_nonnull(kept_fd_left());
    expect("m", -3, "second");
    expect("pc.ram", 0, "first");
    g_assert_null(kept_fd_left());
    close(s[0]);
    close(s[1]);
}

static void test_file(void)
{
    g_autoptr(GArray) fds = two();
    g_autoptr(Error) err = NULL;
    int f = memfd_create("state", MFD_CLOEXEC);

    g_assert_true(cpr_state_write(f, false, fds, &err));
    g_assert_cmpint(lseek(f, 0, SEEK_SET), ==, 0);
    g_assert_true(cpr_state_read(f, false, kept_fd_add, &err));
    expect("m", -3, "second");
    expect("pc.ram", 0, "first");
    close(f);
}

static void refused(const char *hex, const char *part)
{
    g_autoptr(Error) err = NULL;
    int s[2];
    size_t n = strlen(hex) / 2;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), ==, 0);
    for (size_t i = 0; i < n; i++) {
        uint8_t byte = g_ascii_xdigit_value(hex[2 * i]) << 4 | g_ascii_xdigit_value(hex[2 * i + 1]);
        g_assert_cmpint(write(s[0], &byte, 1), ==, 1);
    }
    close(s[0]);
    g_assert_false(cpr_state_read(s[1], true, kept_fd_add, &err));
    if (!strstr(err->message, part)) {
        g_error("'%s' is not in '%s'", part, err->message);
    }
    close(s[1]);
    kept_fds_clear();
}

#define HEAD "5143505200000001"

static void test_refused(void)
{
    refused("", "inside its head");
    refused("5145564d00000001", "no state of descriptors");
    refused("5143505200000002", "no state of descriptors");
    refused(HEAD, "inside its list");
    refused(HEAD "02", "broken");
    refused(HEAD "0100000001" "00", "2 to 256");
    refused(HEAD "01ffffffff", "2 to 256");
    refused(HEAD "0100000003" "6d6e6f", "does not end");
    refused(HEAD "0100000004" "6d006f00", "does not end");
    refused(HEAD "0100000002" "6d00" "00000000" "20", "without its descriptor");
    refused(HEAD "0100000002" "6d00" "0000", "inside a number");
}

/* More descriptors than are named are closed, and not believed. */
static void test_too_many(void)
{
    g_autoptr(GArray) fds = two();
    g_autoptr(Error) err = NULL;
    CprFd *first = &g_array_index(fds, CprFd, 0);
    int s[2], twice;

    g_strlcpy(first->name, "m", sizeof(first->name));
    first->id = -3;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), ==, 0);
    g_assert_true(cpr_state_write(s[0], true, fds, &err));
    twice = cpr_state_read(s[1], true, kept_fd_add, &err);
    g_assert_false(twice);
    g_assert_nonnull(strstr(err->message, "twice"));
    kept_fds_clear();
    close(s[0]);
    close(s[1]);
}

/* A block of that name is the memory that was left; another size or private is refused. */
static void test_ramblock(void)
{
    RAMBlockOptions o = { .fd = -1, .memfd = true, .shared = true, .dump = true };
    g_autoptr(Error) err = NULL;
    int fd = a_memfd("here");

    g_assert_cmpint(ftruncate(fd, 64 * KiB), ==, 0);
    g_assert_true(kept_fd_add("m", 0, dup(fd), &err));
    RAMBlock *rb = ramblock_new("m", 64 * KiB, &o, &err);
    g_assert_no_error(err);
    g_assert_cmpint(memcmp(rb->host, "here", 4), ==, 0);
    rb->host[0] = 'H';
    ramblock_free(rb);
    char c;
    g_assert_cmpint(pread(fd, &c, 1, 0), ==, 1);
    g_assert_cmpint(c, ==, 'H');

    g_assert_true(kept_fd_add("m", 0, dup(fd), &err));
    g_assert_null(ramblock_new("m", 128 * KiB, &o, &err));
    g_assert_nonnull(strstr(err->message, "131072"));
    g_clear_error(&err);
    g_assert_true(kept_fd_add("m", 0, fd, &err));
    o.shared = false;
    g_assert_null(ramblock_new("m", 64 * KiB, &o, &err));
    g_assert_nonnull(strstr(err->message, "share=on"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpr/socket", test_socket);
    g_test_add_func("/cpr/file", test_file);
    g_test_add_func("/cpr/refused", test_refused);
    g_test_add_func("/cpr/too-many", test_too_many);
    g_test_add_func("/cpr/ramblock", test_ramblock);
    return g_test_run();
}
