/*
 * A packet that is a fragment already is cut into smaller ones: offset and the
 * last one's "more fragments" carry on from what it had.
 */
#include "config.h"

#include <string.h>

#include "base/util.h"
#include "tunnel/fragment.h"

#define HEADER_MIN 20
#define HEADER_MAX 60
#define FLAG_DF 0x4000
#define FLAG_MF 0x2000
#define OFFSET_MASK 0x1fff
#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_COPIED 0x80

static size_t
header_len(const uint8_t *ip)
{
	return (size_t)(ip[0] & 15) * 4;
}

bool
fragment_allowed(const struct pktbuf *pb)
{
	const uint8_t *ip = pb->data + pb->l3_offset;
	size_t len = pb->len - pb->l3_offset;

	return pb->ip_version == 4 && (get_be16(ip + 6) & FLAG_DF) == 0 &&
	       header_len(ip) >= HEADER_MIN && get_be16(ip + 2) <= len &&
	       get_be16(ip + 2) > header_len(ip);
}

/* Options that only the first fragment has become no-operations in others. */
static void
blank_options(uint8_t *ip)
{
	size_t end = header_len(ip), len;

	for (size_t i = HEADER_MIN; i < end && ip[i] != OPTION_END; i += len) {
		len = 1;
		if (ip[i] != OPTION_NOP && i + 1 < end && ip[i + 1] >= 2)
			len = ip[i + 1];
		if (len > end - i)
			len = end - i;
		if ((ip[i] & OPTION_COPIED) == 0)
			memset(ip + i, OPTION_NOP, len);
	}
}

static void
put_checksum(uint8_t *ip)
{
	uint32_t sum = 0;

	put_be16(ip + 10, 0);
	for (size_t i = 0; i < header_len(ip); i += 2)
		sum += get_be16(ip + i);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	put_be16(ip + 10, (uint16_t)~sum);
}

/* The piece of pb's payload from start on. */
static struct pktbuf *
cut(struct pktbuf_pool *pool, const struct pktbuf *pb, size_t start, size_t len,
    bool last)
{
	const uint8_t *ip = pb->data + pb->l3_offset;
	size_t headers = pb->l3_offset + header_len(ip);
	struct pktbuf *piece = pktbuf_alloc(pool, headers + len);
	uint16_t flags = get_be16(ip + 6);
	uint8_t *out;

	if (piece == NULL)
		return NULL;
	memcpy(piece->data, pb->data, headers);
	memcpy(piece->data + headers, pb->data + headers + start, len);
	piece->len = (uint32_t)(headers + len);
	out = piece->data + pb->l3_offset;
	put_be16(out + 2, (uint16_t)(header_len(ip) + len));
	put_be16(out + 6, (uint16_t)((last ? flags & FLAG_MF : FLAG_MF) |
				     ((flags & OFFSET_MASK) + start / 8)));
	if (start > 0)
		blank_options(out);
	put_checksum(out);
	return piece;
}

int
fragment_cut(struct pktbuf_pool *pool, const struct pktbuf *pb,
    uint32_t mtu_bytes, struct pktbuf_list *list)
{
	const uint8_t *ip = pb->data + pb->l3_offset;
	size_t payload = get_be16(ip + 2) - header_len(ip), most;
	struct pktbuf_list pieces = TAILQ_HEAD_INITIALIZER(pieces);
	struct pktbuf *piece;

	if (mtu_bytes < HEADER_MAX + 8)
		return -1;
	most = (mtu_bytes - header_len(ip)) & ~(size_t)7;
	for (size_t start = 0; start < payload; start += most) {
		bool last = payload - start <= most;

		piece =
		    cut(pool, pb, start, last ? payload - start : most, last);
		if (piece == NULL)
			goto fail;
		TAILQ_INSERT_TAIL(&pieces, piece, entry);
	}
	TAILQ_CONCAT(list, &pieces, entry);
	return 0;
fail:
	while ((piece = TAILQ_FIRST(&pieces)) != NULL) {
		TAILQ_REMOVE(&pieces, piece, entry);
		pktbuf_free(pool, piece);
	}
	return -1;
}
