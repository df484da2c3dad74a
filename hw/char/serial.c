/*
 * 16550A UART.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/char/serial.h"

#include <string.h>

#define LCR_DLAB 0x80
#define LCR_BREAK 0x40

#define IER_RDI 0x01  /* byte received */
#define IER_THRI 0x02 /* transmitter empty */
#define IER_RLSI 0x04 /* line status */
#define IER_MSI 0x08  /* modem status */

#define IIR_NO_INT 0x01
#define IIR_ID 0x0e
#define IIR_MSI 0x00
#define IIR_THRI 0x02
#define IIR_RDI 0x04
#define IIR_RLSI 0x06
#define IIR_CTI 0x0c  /* receive FIFO timeout */
#define IIR_FENF 0xc0 /* FIFOs enabled */

#define FCR_FE 0x01
#define FCR_CLEAR_RECV 0x02
#define FCR_CLEAR_XMIT 0x04
#define FCR_KEEP 0xc9

#define MCR_LOOP 0x10

#define LSR_DR 0x01
#define LSR_OE 0x02
#define LSR_BI 0x10
#define LSR_THRE 0x20
#define LSR_TEMT 0x40
#define LSR_INT_ANY 0x1e

#define MSR_ANY_DELTA 0x0f
#define MSR_CTS 0x10
#define MSR_DSR 0x20
#define MSR_DCD 0x80

#define CLOCK_HZ 1843200
#define RETRY_NS 1000000

static void fifo_reset(SerialFifo *f)
{
    memset(f, 0, sizeof(*f));
}

static void fifo_push(SerialFifo *f, uint8_t byte)
{
    if (f->num < UART_FIFO_LENGTH) {
        f->data[(f->head + f->num++) % UART_FIFO_LENGTH] = byte;
    }
}

static uint8_t fifo_pop(SerialFifo *f)
{
    uint8_t byte = f->data[f->head];

    f->head = (f->head + 1) % UART_FIFO_LENGTH;
    f->num--;
    return byte;
}

static unsigned recv_trigger(const SerialState *s)
{
    static const uint8_t levels[] = { 1, 4, 8, 14 };

    return levels[s->fcr >> 6];
}

static void update_irq(SerialState *s)
{
    uint8_t id = IIR_NO_INT;

    if ((s->ier & IER_RLSI) && (s->lsr & LSR_INT_ANY)) {
        id = IIR_RLSI;
    } else if ((s->ier & IER_RDI) && s->timeout_ipending) {
        id = IIR_CTI;
    } else if ((s->ier & IER_RDI) && (s->lsr & LSR_DR) &&
               (!(s->fcr & FCR_FE) || s->recv_fifo.num >= recv_trigger(s))) {
        id = IIR_RDI;
    } else if ((s->ier & IER_THRI) && s->thr_ipending) {
        id = IIR_THRI;
    } else if ((s->ier & IER_MSI) && (s->msr & MSR_ANY_DELTA)) {
        id = IIR_MSI;
    }
    s->iir = id | (s->iir & 0xf0);
    irq_set(&s->irq, id != IIR_NO_INT);
}

static void update_timing(SerialState *s)
{
    unsigned bits = 1 + 5 + (s->lcr & 3) + ((s->lcr & 8) != 0) + 1 + ((s->lcr & 4) != 0);
    unsigned divider = s->divider ? s->divider : 1;

    s->char_time_ns = NS_PER_SEC * 16 * divider * bits / CLOCK_HZ;
}

static void receive_byte(SerialState *s, uint8_t byte)
{
    if (s->fcr & FCR_FE) {
        if (s->recv_fifo.num == UART_FIFO_LENGTH) {
            s->lsr |= LSR_OE;
        } else {
            fifo_push(&s->recv_fifo, byte);
        }
        s->lsr |= LSR_DR;
        timer_mod(&s->fifo_timeout_timer, virtual_clock_ns() + 4 * s->char_time_ns);
    } else {
        if (s->lsr & LSR_DR) {
            s->lsr |= LSR_OE;
        }
        s->rbr = byte;
        s->lsr |= LSR_DR;
    }
    update_irq(s);
}

/* Hand tsr to the other side; false when it must wait. */
static bool send_tsr(SerialState *s)
{
    if (s->mcr & MCR_LOOP) {
        receive_byte(s, s->tsr);
    } else if (s->chr && chardev_write(s->chr, &s->tsr, 1) != 1 && chardev_connected(s->chr)) {
        return false;
    }
    return true;
}

/* Move bytes out until there are none or the chardev is full. */
static void transmit(SerialState *s)
{
    for (;;) {
        if (!s->tsr_retry) {
            if ((s->fcr & FCR_FE) && s->xmit_fifo.num) {
                s->tsr = fifo_pop(&s->xmit_fifo);
            } else if (!(s->fcr & FCR_FE) && !(s->lsr & LSR_THRE)) {
                s->tsr = s->thr;
            } else {
                break;
            }
            s->lsr &= ~LSR_TEMT;
            if (!(s->fcr & FCR_FE) || !s->xmit_fifo.num) {
                s->lsr |= LSR_THRE;
                s->thr_ipending = 1;
            }
        }
        if (!send_tsr(s)) {
            s->tsr_retry = 1;
            timer_mod(&s->retry_timer, virtual_clock_ns() + RETRY_NS);
            update_irq(s);
            return;
        }
        s->tsr_retry = 0;
    }
    s->lsr |= LSR_TEMT;
    update_irq(s);
}

static void retry_expired(void *opaque)
{
    transmit(opaque);
}

static void fifo_timeout(void *opaque)
{
    SerialState *s = opaque;

    if (s->recv_fifo.num) {
        s->timeout_ipending = 1;
        update_irq(s);
    }
}

static void write_thr(SerialState *s, uint8_t value)
{
    s->thr = value;
    if (s->fcr & FCR_FE) {
        if (s->xmit_fifo.num == UART_FIFO_LENGTH) {
            fifo_pop(&s->xmit_fifo); /* overrun: the oldest is lost */
        }
        fifo_push(&s->xmit_fifo, value);
    }
    s->thr_ipending = 0;
    s->lsr &= ~(LSR_THRE | LSR_TEMT);
    update_irq(s);
    if (!s->tsr_retry) {
        transmit(s);
    }
}

static void write_ier(SerialState *s, uint8_t value)
{
    uint8_t changed = (s->ier ^ value) & 0x0f;

    s->ier = value & 0x0f;
    if ((changed & IER_THRI) && (s->ier & IER_THRI) && (s->lsr & LSR_THRE)) {
        s->thr_ipending = 1;
    } else if (!(s->ier & IER_THRI)) {
        s->thr_ipending = 0;
    }
    update_irq(s);
}

static void clear_recv(SerialState *s)
{
    s->lsr &= ~(LSR_DR | LSR_BI);
    timer_del(&s->fifo_timeout_timer);
    s->timeout_ipending = 0;
    fifo_reset(&s->recv_fifo);
}

static void clear_xmit(SerialState *s)
{
    s->lsr |= LSR_THRE;
    s->thr_ipending = 1;
    fifo_reset(&s->xmit_fifo);
}

static void set_fcr(SerialState *s, uint8_t value)
{
    s->fcr = value & FCR_KEEP;
    s->iir = (s->iir & ~0xf0) | (value & FCR_FE ? IIR_FENF : 0);
}

static void write_fcr(SerialState *s, uint8_t value)
{
    if ((value ^ s->fcr) & FCR_FE) {
        value |= FCR_CLEAR_RECV | FCR_CLEAR_XMIT;
    }
    if (value & FCR_CLEAR_RECV) {
        clear_recv(s);
    }
    if (value & FCR_CLEAR_XMIT) {
        clear_xmit(s);
    }
    set_fcr(s, value);
    update_irq(s);
    if (s->chr) {
        chardev_accept_input(s->chr);
    }
}

static void serial_write(void *opaque, uint64_t addr, uint64_t value, unsigned size)
{
    SerialState *s = opaque;

    switch (addr) {
    case 0:
        if (s->lcr & LCR_DLAB) {
            s->divider = (s->divider & 0xff00) | (value & 0xff);
            update_timing(s);
        } else {
            write_thr(s, value);
        }
        break;
    case 1:
        if (s->lcr & LCR_DLAB) {
            s->divider = (s->divider & 0xff) | (value & 0xff) << 8;
            update_timing(s);
        } else {
            write_ier(s, value);
        }
        break;
    case 2:
        write_fcr(s, value);
        break;
    case 3:
        s->lcr = value;
        update_timing(s);
        break;
    case 4:
        s->mcr = value & 0x1f;
        break;
    case 7:
        s->scr = value;
        break;
    default: /* line and modem status cannot be written */
        break;
    }
}

static uint8_t read_rbr(SerialState *s)
{
    uint8_t value = s->rbr;

    if (s->fcr & FCR_FE) {
        value = s->recv_fifo.num ? fifo_pop(&s->recv_fifo) : 0;
        if (s->recv_fifo.num) {
            timer_mod(&s->fifo_timeout_timer, virtual_clock_ns() + 4 * s->char_time_ns);
        } else {
            timer_del(&s->fifo_timeout_timer);
            s->lsr &= ~(LSR_DR | LSR_BI);
        }
        s->timeout_ipending = 0;
    } else {
        s->lsr &= ~(LSR_DR | LSR_BI);
    }
    update_irq(s);
    if (s->chr && !(s->mcr & MCR_LOOP)) {
        chardev_accept_input(s->chr);
    }
    return value;
}

static uint8_t read_iir(SerialState *s)
{
    uint8_t value = s->iir;

    if ((value & (IIR_ID | IIR_NO_INT)) == IIR_THRI) {
        s->thr_ipending = 0;
        update_irq(s);
    }
    return value;
}

static uint8_t read_lsr(SerialState *s)
{
    uint8_t value = s->lsr;

    if (s->lsr & (LSR_BI | LSR_OE)) {
        s->lsr &= ~(LSR_BI | LSR_OE);
        update_irq(s);
    }
    return value;
}

static uint8_t read_msr(SerialState *s)
{
    if (s->mcr & MCR_LOOP) { /* the four outputs come back as inputs */
        return (s->mcr & 0x0c) << 4 | (s->mcr & 0x02) << 3 | (s->mcr & 0x01) << 5;
    }
    uint8_t value = s->msr;
    if (s->msr & MSR_ANY_DELTA) {
        s->msr &= ~MSR_ANY_DELTA;
        update_irq(s);
    }
    return value;
}

static uint64_t serial_read(void *opaque, uint64_t addr, unsigned size)
{
    SerialState *s = opaque;

    switch (addr) {
    case 0:
        return s->lcr & LCR_DLAB ? s->divider & 0xff : read_rbr(s);
    case 1:
        return s->lcr & LCR_DLAB ? s->divider >> 8 : s->ier;
    case 2:
        return read_iir(s);
    case 3:
        return s->lcr;
    case 4:
        return s->mcr;
    case 5:
        return read_lsr(s);
    case 6:
        return read_msr(s);
    default:
        return s->scr;
    }
}

const IORegionOps serial_io_ops = {
    .read = serial_read,
    .write = serial_write,
    .min_size = 1,
    .max_size = 1,
};

static int chr_can_read(void *opaque)
{
    SerialState *s = opaque;

    if (s->mcr & MCR_LOOP) {
        return 0;
    }
    return s->fcr & FCR_FE ? UART_FIFO_LENGTH - (int)s->recv_fifo.num : !(s->lsr & LSR_DR);
}

static void chr_read(void *opaque, const uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        receive_byte(opaque, buf[i]);
    }
}

static void chr_event(void *opaque, ChardevEvent event)
{
    SerialState *s = opaque;

    if (event == CHARDEV_BREAK) {
        s->rbr = 0;
        s->lsr |= LSR_BI | LSR_DR;
        update_irq(s);
    }
}

void serial_reset(SerialState *s)
{
    s->divider = 12; /* 9600 baud */
    s->rbr = s->thr = s->tsr = s->ier = s->lcr = s->scr = s->fcr = 0;
    s->iir = IIR_NO_INT;
    s->lsr = LSR_TEMT | LSR_THRE;
    s->msr = MSR_DCD | MSR_DSR | MSR_CTS;
    s->mcr = 0x08;
    s->thr_ipending = s->timeout_ipending = 0;
    s->tsr_retry = 0;
    s->poll_msl = -1;
    fifo_reset(&s->recv_fifo);
    fifo_reset(&s->xmit_fifo);
    timer_del(&s->fifo_timeout_timer);
    timer_del(&s->retry_timer);
    timer_del(&s->modem_poll_timer);
    update_timing(s);
    irq_set(&s->irq, 0);
}

static void modem_poll(void *opaque)
{
    SerialState *s = opaque;

    s->poll_msl = -1; /* armed by a stream from elsewhere: the lines here stay as they are */
}

bool serial_init(SerialState *s, Error **errp)
{
    const ChardevHandlers handlers = { chr_can_read, chr_read, chr_event, s };

    timer_init(&s->fifo_timeout_timer, fifo_timeout, s);
    timer_init(&s->retry_timer, retry_expired, s);
    timer_init(&s->modem_poll_timer, modem_poll, s);
    if (s->chr && !chardev_attach(s->chr, &handlers, errp)) {
        return false;
    }
    serial_reset(s);
    return true;
}

void serial_exit(SerialState *s)
{
    timer_del(&s->fifo_timeout_timer);
    timer_del(&s->retry_timer);
    timer_del(&s->modem_poll_timer);
    if (s->chr) {
        chardev_detach(s->chr, s);
    }
}

/* Saved state. */

static bool serial_pre_load(void *opaque, Error **errp)
{
    SerialState *s = opaque;

    s->thr_ipending = -1; /* unless the stream says */
    s->timeout_ipending = 0;
    s->tsr_retry = 0;
    s->poll_msl = -1;
    fifo_reset(&s->recv_fifo);
    fifo_reset(&s->xmit_fifo);
    timer_del(&s->fifo_timeout_timer);
    timer_del(&s->modem_poll_timer);
    return true;
}

static bool serial_post_load(void *opaque, int version_id, Error **errp)
{
    SerialState *s = opaque;

    if (version_id < 3) {
        s->fcr = 0;
    }
    if (s->thr_ipending == -1) {
        s->thr_ipending = (s->iir & (IIR_ID | IIR_NO_INT)) == IIR_THRI;
    }
    if (s->recv_fifo.num > UART_FIFO_LENGTH || s->recv_fifo.head >= UART_FIFO_LENGTH ||
        s->xmit_fifo.num > UART_FIFO_LENGTH || s->xmit_fifo.head >= UART_FIFO_LENGTH) {
        error_setg(errp, "serial: a FIFO holds more than %d bytes", UART_FIFO_LENGTH);
        return false;
    }
    if (!s->tsr_retry != !!(s->lsr & LSR_TEMT)) {
        error_setg(errp, "serial: line status 0x%02x does not fit tsr_retry=%u", s->lsr,
                   s->tsr_retry);
        return false;
    }
    if (s->tsr_retry) {
        timer_mod(&s->retry_timer, virtual_clock_ns() + RETRY_NS);
    }
    set_fcr(s, s->fcr);
    update_timing(s);
    return true;
}

static bool thr_ipending_needed(void *opaque)
{
    const SerialState *s = opaque;
    bool implied = (s->iir & (IIR_ID | IIR_NO_INT)) == IIR_THRI;

    return (s->ier & IER_THRI) && !!s->thr_ipending != implied;
}

static bool tsr_needed(void *opaque)
{
    return ((SerialState *)opaque)->tsr_retry != 0;
}

static bool recv_fifo_needed(void *opaque)
{
    return ((SerialState *)opaque)->recv_fifo.num != 0;
}

static bool xmit_fifo_needed(void *opaque)
{
    return ((SerialState *)opaque)->xmit_fifo.num != 0;
}

static bool fifo_timer_needed(void *opaque)
{
    return timer_pending(&((SerialState *)opaque)->fifo_timeout_timer);
}

static bool timeout_ipending_needed(void *opaque)
{
    return ((SerialState *)opaque)->timeout_ipending != 0;
}

static bool poll_needed(void *opaque)
{
    return ((SerialState *)opaque)->poll_msl >= 0;
}

static const VMStateDescription vmstate_fifo = {
    .name = "SerialFIFO",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_BUFFER(data, SerialFifo),
        VMSTATE_UINT32(head, SerialFifo),
        VMSTATE_UINT32(num, SerialFifo),
        VMSTATE_END_OF_LIST(),
    },
};

#define SUBSECTION(id_, name_, needed_, ...)                     \
    static const VMStateDescription id_ = {                      \
        .name = "serial/" name_,                                 \
        .version_id = 1,                                         \
        .minimum_version_id = 1,                                 \
        .needed = needed_,                                       \
        .fields = (const VMStateField[]){ __VA_ARGS__, VMSTATE_END_OF_LIST() }, \
    }

SUBSECTION(sub_thr, "thr_ipending", thr_ipending_needed, VMSTATE_INT32(thr_ipending, SerialState));
SUBSECTION(sub_tsr, "tsr", tsr_needed, VMSTATE_UINT32(tsr_retry, SerialState),
           VMSTATE_UINT8(thr, SerialState), VMSTATE_UINT8(tsr, SerialState));
SUBSECTION(sub_recv, "recv_fifo", recv_fifo_needed,
           VMSTATE_STRUCT(recv_fifo, SerialState, 1, vmstate_fifo, SerialFifo));
SUBSECTION(sub_xmit, "xmit_fifo", xmit_fifo_needed,
           VMSTATE_STRUCT(xmit_fifo, SerialState, 1, vmstate_fifo, SerialFifo));
SUBSECTION(sub_timer, "fifo_timeout_timer", fifo_timer_needed,
           VMSTATE_TIMER(fifo_timeout_timer, SerialState));
SUBSECTION(sub_timeout, "timeout_ipending", timeout_ipending_needed,
           VMSTATE_INT32(timeout_ipending, SerialState));
SUBSECTION(sub_poll, "poll", poll_needed, VMSTATE_INT32(poll_msl, SerialState),
           VMSTATE_TIMER(modem_poll_timer, SerialState));

const VMStateDescription vmstate_serial = {
    .name = "serial",
    .version_id = 3,
    .minimum_version_id = 2,
    .pre_load = serial_pre_load,
    .post_load = serial_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT16_V(divider, SerialState, 2),
        VMSTATE_UINT8(rbr, SerialState),
        VMSTATE_UINT8(ier, SerialState),
        VMSTATE_UINT8(iir, SerialState),
        VMSTATE_UINT8(lcr, SerialState),
        VMSTATE_UINT8(mcr, SerialState),
        VMSTATE_UINT8(lsr, SerialState),
        VMSTATE_UINT8(msr, SerialState),
        VMSTATE_UINT8(scr, SerialState),
        VMSTATE_UINT8_V(fcr, SerialState, 3),
        VMSTATE_END_OF_LIST(),
    },
    .subsections = (const VMStateDescription *const[]){
        &sub_thr, &sub_tsr, &sub_recv, &sub_xmit, &sub_timer, &sub_timeout, &sub_poll, NULL,
    },
};
