/*
 * Backend "mux": several users share one character device; the escape key (Ctrl-A) moves between them.
 *
 * Main thread, machine lock.  Output of every user goes to the same device; keys go to
 * the user in focus.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "chardev/backend.h"
#include "system/runstate.h"
#include "util/options.h"
#include "util/util.h"

enum {
    MAX_USERS = 4,
    PENDING_SIZE = 64,
};

static uint8_t key_escape = 1; /* Ctrl-A; constant once there is a mux */

typedef struct MuxUser {
    bool used;
    ChardevHandlers h;
    uint8_t pending[PENDING_SIZE]; /* keys that the user had no room for */
    size_t n_pending;
} MuxUser;

typedef struct MuxChardev {
    Chardev base;
    Chardev *below;   /* owned by the list of chardevs, internal or named */
    MuxUser user[MAX_USERS];
    int focus;        /* -1: no user yet */
    bool escape;      /* the last key was the escape key */
} MuxChardev;

static MuxChardev *mux_of(const Chardev *c)
{
    return (MuxChardev *)c;
}

static void say(MuxChardev *m, const char *text)
{
    chardev_write(m->below, text, strlen(text));
}

static void user_event(MuxUser *u, ChardevEvent event)
{
    if (u->used && u->h.event) {
        u->h.event(u->h.opaque, event);
    }
}

static void set_focus(MuxChardev *m, int focus)
{
    if (m->focus >= 0) {
        user_event(&m->user[m->focus], CHARDEV_MUX_OUT);
    }
    m->focus = focus;
    user_event(&m->user[focus], CHARDEV_MUX_IN);
}

static void next_focus(MuxChardev *m)
{
    for (int step = 1; m->focus >= 0 && step < MAX_USERS; step++) {
        int i = (m->focus + step) % MAX_USERS;
        if (m->user[i].used) {
            set_focus(m, i);
            return;
        }
    }
}

static int user_room(const MuxUser *u)
{
    return u->h.can_read ? u->h.can_read(u->h.opaque) : PENDING_SIZE;
}

/* Hand over pending keys while there is room. */
static void deliver(MuxUser *u)
{
    while (u->used && u->n_pending > 0) {
        int room = user_room(u);
        size_t n = MIN(u->n_pending, room > 0 ? (size_t)room : 0);
        uint8_t keys[PENDING_SIZE];
        if (n == 0) {
            return;
        }
        memcpy(keys, u->pending, n);
        u->n_pending -= n;
        memmove(u->pending, u->pending + n, u->n_pending);
        u->h.read(u->h.opaque, keys, n);
    }
}

void chardev_set_escape(uint8_t key)
{
    key_escape = key;
}

static void help(MuxChardev *m)
{
    char key[8];
    g_autofree char *text = NULL;

    if (key_escape < 0x20) {
        g_snprintf(key, sizeof(key), "C-%c", g_ascii_tolower(key_escape + '@'));
    } else {
        g_snprintf(key, sizeof(key), g_ascii_isprint(key_escape) ? "%c" : "%#x", key_escape);
    }
    text = g_strdup_printf("\r\n%s h    this help\r\n%s x    leave the emulator\r\n"
                           "%s b    send a break (magic sysrq)\r\n"
                           "%s c    go to the next user (console, monitor)\r\n"
                           "%s %s  send %s\r\n", key, key, key, key, key, key, key);
    say(m, text);
}

/* A key after the escape key.  True: it belongs to the user. */
static bool escape_key(MuxChardev *m, uint8_t key)
{
    if (key == key_escape) {
        return true;
    }
    switch (key) {
    case 'c':
        next_focus(m);
        return false;
    case 'x':
        say(m, "\r\nFerry: terminated\r\n");
        system_exit_request(0);
        return false;
    case 'b':
        if (m->focus >= 0) {
            user_event(&m->user[m->focus], CHARDEV_BREAK);
        }
        return false;
    case 'h':
    case '?':
        help(m);
        return false;
    default:
        return false;
    }
}

static int mux_can_read(void *opaque)
{
    MuxChardev *m = opaque;
    MuxUser *u = m->focus >= 0 ? &m->user[m->focus] : NULL;

    return u && u->used ? PENDING_SIZE - (int)u->n_pending : PENDING_SIZE;
}

static void mux_read(void *opaque, const uint8_t *buf, size_t len)
{
    MuxChardev *m = opaque;

    for (size_t i = 0; i < len; i++) {
        if (m->escape) {
            m->escape = false;
            if (!escape_key(m, buf[i])) {
                continue;
            }
        } else if (buf[i] == key_escape) {
            m->escape = true;
            continue;
        }
        MuxUser *u = m->focus >= 0 ? &m->user[m->focus] : NULL;
        if (u && u->used && u->n_pending < PENDING_SIZE) {
            u->pending[u->n_pending++] = buf[i];
            deliver(u);
        }
    }
}

static void mux_event(void *opaque, ChardevEvent event)
{
    MuxChardev *m = opaque;

    m->base.connected = chardev_connected(m->below);
    for (int i = 0; i < MAX_USERS; i++) {
        user_event(&m->user[i], event);
    }
}

static bool mux_setup(MuxChardev *m, Chardev *below, Error **errp)
{
    ChardevHandlers h = { mux_can_read, mux_read, mux_event, m };

    m->focus = -1;
    m->below = below;
    if (!chardev_attach(below, &h, errp)) {
        m->below = NULL;
        return false;
    }
    m->base.connected = chardev_connected(below);
    return true;
}

/* -chardev mux,id=ID,chardev=OTHER */
static bool mux_open(Chardev *c, JsonObject *opts, Error **errp)
{
    g_autofree char *id = NULL;
    Chardev *below;

    if (!options_take_str(opts, "chardev", &id, errp)) {
        return false;
    }
    below = id ? chardev_by_id(id) : NULL;
    if (!below) {
        error_setg(errp, "parameter 'chardev' must name a character device");
        return false;
    }
    return mux_setup(mux_of(c), below, errp);
}

Chardev *chardev_mux_new(const char *id, Chardev *base, Error **errp)
{
    g_autoptr(JsonObject) opts = json_object_new();
    Chardev *c;

    json_object_set_string_member(opts, "chardev", base->id);
    c = chardev_create(id, &chardev_mux, opts, errp);
    if (c) {
        base->internal = true;
    }
    return c;
}

static void mux_close(Chardev *c)
{
    MuxChardev *m = mux_of(c);

    if (m->below) {
        chardev_detach(m->below, m);
        if (m->below->internal) {
            chardev_free(m->below);
        }
        m->below = NULL;
    }
}

static bool mux_attach(Chardev *c, const ChardevHandlers *h, Error **errp)
{
    MuxChardev *m = mux_of(c);

    for (int i = 0; i < MAX_USERS; i++) {
        MuxUser *u = &m->user[i];
        if (!u->used) {
            memset(u, 0, sizeof(*u));
            u->used = true;
            u->h = *h;
            if (chardev_connected(m->below)) {
                user_event(u, CHARDEV_OPENED);
            }
            /* The first user has the keys; a monitor on "mon:" is the second. */
            if (m->focus < 0) {
                set_focus(m, i);
            }
            return true;
        }
    }
    error_setg(errp, "character device '%s' has %d users already", c->id, MAX_USERS);
    return false;
}

static void mux_detach(Chardev *c, void *opaque)
{
    MuxChardev *m = mux_of(c);

    for (int i = 0; i < MAX_USERS; i++) {
        if (m->user[i].used && m->user[i].h.opaque == opaque) {
            m->user[i].used = false;
            if (m->focus == i) {
                next_focus(m);
                m->focus = m->focus == i ? -1 : m->focus;
            }
        }
    }
}

static void mux_accept_input(Chardev *c)
{
    MuxChardev *m = mux_of(c);

    if (m->focus >= 0) {
        deliver(&m->user[m->focus]);
    }
    chardev_accept_input(m->below);
}

static bool mux_in_use(const Chardev *c)
{
    for (int i = 0; i < MAX_USERS; i++) {
        if (mux_of(c)->user[i].used) {
            return true;
        }
    }
    return false;
}

static size_t mux_write(Chardev *c, const void *buf, size_t len)
{
    return chardev_write(mux_of(c)->below, buf, len);
}

static char *mux_filename(const Chardev *c)
{
    return mux_of(c)->below ? chardev_filename(mux_of(c)->below) : g_strdup("mux");
}

const ChardevClass chardev_mux = {
    .name = "mux",
    .size = sizeof(MuxChardev),
    .open = mux_open,
    .close = mux_close,
    .filename = mux_filename,
    .write = mux_write,
    .attach = mux_attach,
    .detach = mux_detach,
    .accept_input = mux_accept_input,
    .in_use = mux_in_use,
};
