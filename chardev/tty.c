/*
 * Backends "stdio" and "pty".  Thread of the chardev's context.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>

#include "chardev/backend.h"
#include "util/log.h"
#include "util/options.h"
#include "util/util.h"

/* The terminal is one: its former state, to be put back at exit. */
static struct {
    bool used;
    bool is_tty;
    int flags_in, flags_out;
    struct termios old;
} terminal;

static const char *stdio_forbidden; /* the reason, NULL: allowed */

void chardev_forbid_stdio(const char *why)
{
    stdio_forbidden = why;
}

static void terminal_restore(void)
{
    if (terminal.used) {
        if (terminal.is_tty) {
            tcsetattr(STDIN_FILENO, TCSANOW, &terminal.old);
        }
        fcntl(STDIN_FILENO, F_SETFL, terminal.flags_in);
        fcntl(STDOUT_FILENO, F_SETFL, terminal.flags_out);
        terminal.used = false;
    }
}

static void make_raw(struct termios *t, bool signals)
{
    t->c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    t->c_oflag |= OPOST;
    t->c_lflag &= ~(ECHO | ECHONL | ICANON | IEXTEN);
    if (!signals) {
        t->c_lflag &= ~ISIG;
    }
    t->c_cflag = (t->c_cflag & ~(CSIZE | PARENB)) | CS8;
    t->c_cc[VMIN] = 1;
    t->c_cc[VTIME] = 0;
}

static bool stdio_open(Chardev *c, JsonObject *opts, Error **errp)
{
    static bool atexit_done;
    bool signals = true;
    int in, out;

    if (!options_take_bool(opts, "signal", &signals, errp)) {
        return false;
    }
    if (stdio_forbidden) {
        error_setg(errp, "stdio cannot be used: %s", stdio_forbidden);
        return false;
    }
    if (terminal.used) {
        error_setg(errp, "standard input and output are used by another character device");
        return false;
    }
    in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (in < 0 || out < 0) {
        error_setg_errno(errp, errno, "standard input or output is not open");
        close_fd(&in);
        close_fd(&out);
        return false;
    }
    terminal.used = true;
    terminal.flags_in = fcntl(STDIN_FILENO, F_GETFL);
    terminal.flags_out = fcntl(STDOUT_FILENO, F_GETFL);
    terminal.is_tty = tcgetattr(STDIN_FILENO, &terminal.old) == 0;
    if (terminal.is_tty) {
        struct termios t = terminal.old;
        make_raw(&t, signals);
        tcsetattr(STDIN_FILENO, TCSANOW, &t);
    }
    if (!atexit_done) {
        /* A start-up error that calls exit() must not leave a raw terminal. */
        atexit(terminal_restore);
        atexit_done = true;
    }
    chardev_io_start(c, in, out);
    return true;
}

static void stdio_close(Chardev *c)
{
    if (c->fd_out >= 0) {
        terminal_restore();
    }
}

/* After the end of standard input there is still somebody who reads the output. */
static void stdio_eof(Chardev *c)
{
    g_mutex_lock(&c->lock);
    chardev_source_drop(&c->in);
    close_fd(&c->fd_in);
    g_mutex_unlock(&c->lock);
}

const ChardevClass chardev_stdio = {
    .name = "stdio",
    .size = sizeof(Chardev),
    .open = stdio_open,
    .close = stdio_close,
    .eof = stdio_eof,
};

/*
 * Pty: nobody is connected until a program opens the other end.  Only looking tells:
 * the master hangs up while no slave is open.
 */
enum { PTY_LOOK_MS = 200 };

typedef struct PtyChardev {
    Chardev base;
    char *name;     /* /dev/pts/N */
    int master;     /* while nobody is connected it is here, else in base */
    GSource *look;
} PtyChardev;

static void pty_wait(PtyChardev *p);

static gboolean pty_look(gpointer opaque)
{
    PtyChardev *p = opaque;
    struct pollfd pfd = { .fd = p->master, .events = POLLIN };
    int fd;

    if (poll(&pfd, 1, 0) < 0 || (pfd.revents & POLLHUP)) {
        return G_SOURCE_CONTINUE;
    }
    fd = fcntl(p->master, F_DUPFD_CLOEXEC, 3);
    if (fd < 0) {
        return G_SOURCE_CONTINUE;
    }
    chardev_source_drop(&p->look);
    chardev_io_start(&p->base, fd, fd);
    return G_SOURCE_REMOVE;
}

static void pty_wait(PtyChardev *p)
{
    if (!p->look) {
        p->look = chardev_timer(&p->base, PTY_LOOK_MS, pty_look);
    }
}

static void pty_eof(Chardev *c)
{
    chardev_io_stop(c);
    pty_wait((PtyChardev *)c);
}

static bool pty_open(Chardev *c, JsonObject *opts, Error **errp)
{
    PtyChardev *p = (PtyChardev *)c;
    char name[64];
    struct termios t;
    int slave;

    p->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (p->master < 0 || grantpt(p->master) < 0 || unlockpt(p->master) < 0 ||
        ptsname_r(p->master, name, sizeof(name)) != 0) {
        error_setg_errno(errp, errno, "cannot make a pseudo-terminal");
        return false;
    }
    p->name = g_strdup(name);
    slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0) {
        error_setg_errno(errp, errno, "cannot open '%s'", name);
        return false;
    }
    tcgetattr(slave, &t);
    make_raw(&t, false);
    t.c_oflag &= ~OPOST;
    tcsetattr(slave, TCSANOW, &t);
    close(slave);
    info_report("character device '%s' is at %s", c->id, name);
    pty_wait(p);
    return true;
}

static void pty_close(Chardev *c)
{
    PtyChardev *p = (PtyChardev *)c;

    chardev_source_drop(&p->look);
    if (p->name || p->master > 0) {
        close_fd(&p->master);
    }
    g_clear_pointer(&p->name, g_free);
}

static char *pty_filename(const Chardev *c)
{
    return g_strdup_printf("pty:%s", ((const PtyChardev *)c)->name);
}

static void pty_context_changed(Chardev *c)
{
    PtyChardev *p = (PtyChardev *)c;

    if (p->look) {
        chardev_source_drop(&p->look);
        pty_wait(p);
    }
}

const ChardevClass chardev_pty = {
    .name = "pty",
    .size = sizeof(PtyChardev),
    .open = pty_open,
    .close = pty_close,
    .filename = pty_filename,
    .eof = pty_eof,
    .context_changed = pty_context_changed,
};
