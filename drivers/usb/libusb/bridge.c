//go:build cgo && linux

#define _GNU_SOURCE
#include "bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NO_DEVICE = -4 };

int loket_open(uint8_t bus, uint8_t address, libusb_context **context, libusb_device_handle **handle) {
	libusb_context *c = NULL;
	int r = libusb_init(&c);
	if (r < 0)
		return r;
	libusb_device **list = NULL;
	ssize_t n = libusb_get_device_list(c, &list);
	r = n < 0 ? (int)n : NO_DEVICE;
	for (ssize_t i = 0; i < n; i++) {
		if (libusb_get_bus_number(list[i]) == bus && libusb_get_device_address(list[i]) == address) {
			r = libusb_open(list[i], handle);
			break;
		}
	}
	if (n >= 0)
		libusb_free_device_list(list, 1);
	if (r < 0) {
		libusb_exit(c);
		return r;
	}
	*context = c;
	return 0;
}

static void ended(struct libusb_transfer *t) {
	struct loket_call *c = t->user_data;
	__atomic_store_n(&c->done, 1, __ATOMIC_RELEASE);
}

struct loket_call *loket_call_new(libusb_device_handle *handle, uint8_t type, uint8_t endpoint, int length, int packets, int packet_size) {
	struct loket_call *c = calloc(1, sizeof *c);
	struct libusb_transfer *t = libusb_alloc_transfer(packets);
	unsigned char *buffer = calloc(1, length > 0 ? length : 1);
	if (!c || !t || !buffer) {
		if (t)
			libusb_free_transfer(t);
		free(buffer);
		free(c);
		return NULL;
	}
	t->dev_handle = handle;
	t->type = type;
	t->endpoint = endpoint;
	t->length = length;
	t->buffer = buffer;
	t->callback = ended;
	t->user_data = c;
	t->num_iso_packets = packets;
	for (int i = 0; i < packets; i++)
		t->iso_packet_desc[i].length = packet_size;
	c->transfer = t;
	return c;
}

int loket_call_submit(struct loket_call *c) {
	__atomic_store_n(&c->done, 0, __ATOMIC_RELEASE);
	return libusb_submit_transfer(c->transfer);
}

int loket_call_wait(libusb_context *context, struct loket_call *c, int ms) {
	struct timeval slice = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	int r = 0;
	if (!__atomic_load_n(&c->done, __ATOMIC_ACQUIRE))
		r = libusb_handle_events_timeout_completed(context, &slice, &c->done);
	if (__atomic_load_n(&c->done, __ATOMIC_ACQUIRE))
		return 1;
	return r;
}

void loket_call_free(struct loket_call *c) {
	loket_wipe(c->transfer->buffer, c->transfer->length);
	free(c->transfer->buffer);
	libusb_free_transfer(c->transfer);
	free(c);
}

struct libusb_iso_packet_descriptor *loket_call_packet(struct loket_call *c, int i) {
	return &c->transfer->iso_packet_desc[i];
}

ssize_t loket_read(const char *path, void *buf, size_t size) {
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	size_t n = 0;
	while (n < size) {
		ssize_t r = read(fd, (char *)buf + n, size - n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		n += r;
	}
	close(fd);
	return n;
}

void loket_wipe(void *p, size_t n) {
	explicit_bzero(p, n);
}
