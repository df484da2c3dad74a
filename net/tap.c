/*
 * netdev "tap": a network device of the host's kernel.  Main thread and whoever sends,
 * machine lock.
 *
 * Frames go without offloads: a descriptor that comes with headers in front of frames
 * (IFF_VNET_HDR, as managers open it) is told to checksum and cut up what it gives, and the
 * header is skipped one way and zero the other way.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

/* After net/if.h, with which it shares definitions. */
#include <linux/if_tun.h>

#include "net/netdev.h"
#include "util/log.h"
#include "util/util.h"

enum { VNET_HDR_MAX = 12 };

typedef struct TapNetdev {
    NetClient nc;
    int fd;
    int header;         /* bytes in front of each frame: 0 or those of a vnet header */
    GSource *in, *out;  /* in: frames for the guest; out: there was no room */
    bool failed;        /* said so already */
} TapNetdev;

static gboolean tap_readable(int fd, GIOCondition cond, gpointer opaque)
{
    TapNetdev *t = opaque;
    static uint8_t buf[VNET_HDR_MAX + NET_FRAME_MAX]; /* machine lock */

    /* A few at a time: there is more to do than this. */
    for (int i = 0; i < 64; i++) {
        if (!net_can_send(&t->nc)) {
            net_watch_drop(&t->in); /* until tap_peer_ready() */
            return G_SOURCE_REMOVE;
        }
        ssize_t n = read(fd, buf, t->header + NET_FRAME_MAX);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            break;
        }
        if (n <= 0) {
            warn_report("netdev '%s': the tap device is gone: %s", t->nc.name,
                        n ? g_strerror(errno) : "end of file");
            net_watch_drop(&t->in);
            return G_SOURCE_REMOVE;
        }
        if (n > t->header) {
            net_send(&t->nc, buf + t->header, n - t->header);
        }
    }
    return G_SOURCE_CONTINUE;
}

static void tap_peer_ready(NetClient *nc)
{
    TapNetdev *t = (TapNetdev *)nc;

    if (!t->in) {
        t->in = net_watch(t->fd, G_IO_IN, tap_readable, t);
    }
}

static gboolean tap_writable(int fd, GIOCondition cond, gpointer opaque)
{
    TapNetdev *t = opaque;

    net_watch_drop(&t->out);
    net_ready(&t->nc);
    return G_SOURCE_REMOVE;
}

static bool tap_can_receive(NetClient *nc)
{
    return !((TapNetdev *)nc)->out;
}

static bool tap_receive(NetClient *nc, const uint8_t *frame, size_t len)
{
    TapNetdev *t = (TapNetdev *)nc;
    uint8_t header[VNET_HDR_MAX] = { 0 };
    struct iovec iov[2] = { { header, t->header }, { (void *)frame, len } };
    ssize_t n;

    do {
        n = writev(t->fd, iov, 2);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) {
        t->out = net_watch(t->fd, G_IO_OUT, tap_writable, t);
        return false;
    }
    if (n < 0 && !t->failed) { /* such as: the interface is down; one line is enough */
        warn_report("netdev '%s': frames are lost: %s", nc->name, g_strerror(errno));
    }
    t->failed = n < 0;
    return true;
}

static void tap_free(NetClient *nc)
{
    TapNetdev *t = (TapNetdev *)nc;

    net_watch_drop(&t->in);
    net_watch_drop(&t->out);
    net_client_exit(nc);
    close_fd(&t->fd);
    g_free(t);
}

static const NetClientOps tap_ops = {
    .type = "tap",
    .can_receive = tap_can_receive,
    .receive = tap_receive,
    .peer_ready = tap_peer_ready,
    .free = tap_free,
};

/* script= and downscript=: only "no" (or nothing) can be had. */
static bool refuse_script(JsonObject *opts, const char *key, bool required, Error **errp)
{
    g_autofree char *script = NULL;

    if (!options_take_str(opts, key, &script, errp)) {
        return false;
    }
    if (script ? strcmp(script, "no") && *script : required) {
        error_setg(errp, "scripts are not supported: set the tap device up beforehand and give "
                   "script=no,downscript=no");
        return false;
    }
    return true;
}

static int open_ifname(const char *ifname, char **ret_name, Error **errp)
{
    struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    g_auto(AutoFd) fd = -1;

    if (ifname && strlen(ifname) >= IFNAMSIZ) {
        error_setg(errp, "ifname=%s is longer than %d characters", ifname, IFNAMSIZ - 1);
        return -1;
    }
    fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        error_setg_errno(errp, errno, "cannot open /dev/net/tun");
        return -1;
    }
    g_strlcpy(ifr.ifr_name, ifname ? ifname : "tap%d", IFNAMSIZ);
    if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
        error_setg_errno(errp, errno, "cannot open tap device '%s'", ifname ? ifname : "tap%d");
        return -1;
    }
    *ret_name = g_strdup(ifr.ifr_name);
    int opened = fd;
    fd = -1;
    return opened;
}

/* The length of the header in front of frames of an open tap descriptor; -1 with errp set. */
static int header_of(int fd, Error **errp)
{
    struct ifreq ifr = { 0 };
    int len = 10; /* struct virtio_net_hdr without the count of buffers: the kernel's default */

    if (ioctl(fd, TUNGETIFF, &ifr) < 0 || !(ifr.ifr_flags & IFF_TAP)) {
        error_setg(errp, "file descriptor %d is not a tap device", fd);
        return -1;
    }
    if (!(ifr.ifr_flags & IFF_NO_PI)) {
        error_setg(errp, "the tap device of file descriptor %d was opened without IFF_NO_PI", fd);
        return -1;
    }
    if (!(ifr.ifr_flags & IFF_VNET_HDR)) {
        return 0;
    }
    if (ioctl(fd, TUNGETVNETHDRSZ, &len) < 0 || len > VNET_HDR_MAX ||
        ioctl(fd, TUNSETOFFLOAD, 0) < 0) {
        error_setg_errno(errp, errno, "cannot do without offloads on file descriptor %d", fd);
        return -1;
    }
    return len;
}

/* Offloads of any kind are not used, with or without the header. */
static bool take_tuning(JsonObject *opts, uint64_t *ret_sndbuf, Error **errp)
{
    bool vnet_hdr = false;

    if (!options_take_bool(opts, "vnet_hdr", &vnet_hdr, errp) ||
        !options_take_size(opts, "sndbuf", 'B', ret_sndbuf, errp)) {
        return false;
    }
    if (vnet_hdr) {
        error_setg(errp, "vnet_hdr=on is not supported: frames go without offloads");
        return false;
    }
    if (*ret_sndbuf > INT32_MAX) {
        error_setg(errp, "sndbuf must be below 2 GiB");
        return false;
    }
    return true;
}

NetClient *net_tap_new(const char *id, JsonObject *opts, Error **errp)
{
    g_autofree char *ifname = NULL;
    g_autofree char *fd_name = NULL;
    g_auto(AutoFd) fd = -1;
    JsonNode *fd_node = json_object_get_member(opts, "fd");
    uint64_t sndbuf = 0;
    int header;

    fd_name = options_value_text(fd_node);
    if (fd_node) {
        json_object_remove_member(opts, "fd");
    }
    if (!options_take_str(opts, "ifname", &ifname, errp) ||
        !refuse_script(opts, "script", !fd_node, errp) ||
        !refuse_script(opts, "downscript", !fd_node, errp) ||
        !take_tuning(opts, &sndbuf, errp)) {
        return NULL;
    }
    if (fd_node && (ifname || !fd_name)) {
        error_setg(errp, "fd=NUMBER-OR-NAME and ifname= exclude each other");
        return NULL;
    }
    fd = fd_name ? net_take_fd(fd_name, errp) : open_ifname(ifname, &ifname, errp);
    if (fd < 0 || (header = header_of(fd, errp)) < 0) {
        return NULL;
    }
    if (sndbuf) {
        int bytes = sndbuf;
        if (ioctl(fd, TUNSETSNDBUF, &bytes) < 0) {
            error_setg_errno(errp, errno, "sndbuf=%d", bytes);
            return NULL;
        }
    }
    TapNetdev *t = g_new0(TapNetdev, 1);
    t->fd = fd;
    t->header = header;
    net_client_init(&t->nc, &tap_ops, id, fd_name
                        ? g_strdup_printf("fd=%d", fd)
                        : g_strdup_printf("ifname=%s,script=no,downscript=no", ifname));
    fd = -1;
    tap_peer_ready(&t->nc);
    return &t->nc;
}
