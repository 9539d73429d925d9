/*
 * Packets off the wire.  The first byte says which cipher (bits 0-1) and how
 * the rest is used: bit 2, as it came; otherwise it is sealed by a peer that
 * lies inside the encryption, and then one bit of the datagram is flipped.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "tunnel/crypto.h"
#include "tunnel/session.h"

#define EPOCH 7
#define LEN_MAX 2048

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t room[WIRE_INNER_LEN + LEN_MAX];
static uint8_t dgram[LEN_MAX + WIRE_SEALED_OVERHEAD];

static void
require(bool condition)
{
	if (!condition)
		abort();
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	require(crypto_init() == 0);
	return 0;
}

static void
make_session(struct session *s, unsigned choice, bool server)
{
	static const uint8_t key[2][SESSION_KEY_LEN + SESSION_IV_LEN] = {
		{ 1, 2, 3 }, { 4, 5, 6 }
	};
	enum session_cipher cipher = choice % 3 + 1;

	if (cipher == SESSION_NONE)
		session_init_clear(s, EPOCH, server ? 2 : 1, server ? 1 : 2, 1);
	else
		require(session_init(s, EPOCH, cipher, key[server],
			    key[!server], 1) == 0);
}

static enum session_result
try_open(struct session *s, size_t len)
{
	enum session_result r;
	struct wire_header h;
	struct wire_inner in;
	uint8_t *packet;
	size_t packet_len;

	if (wire_get_header(&h, dgram, len) == -1)
		return SESSION_MALFORMED;
	r = session_open(s, &h, dgram, len, &in, &packet, &packet_len);
	if (r != SESSION_OK) {
		require(packet == NULL && packet_len == 0);
		return r;
	}
	require(packet + packet_len <= dgram + len);
	require(in.bucket < 1024 && in.bucket_seq < 1 << 22);
	require(in.stamp <= WIRE_STAMP_MASK && in.link < 16);
	require(in.echo_stamp <= WIRE_STAMP_MASK && in.control < 16);
	return r;
}

/* Any eight bytes are a header of data, and give the same bytes again. */
static void
check_inner(const uint8_t p[WIRE_INNER_LEN])
{
	struct wire_inner in;
	uint8_t out[WIRE_INNER_LEN];

	wire_get_inner(&in, false, p);
	wire_put_inner(out, false, &in);
	require(memcmp(out, p, sizeof(out)) == 0);
}

/* data: inner header 8, sequence 6, control 1, bit to flip 2, packet. */
static void
seal_and_open(
    struct session *from, struct session *to, const uint8_t *data, size_t size)
{
	enum wire_type type = (data[14] & 1) != 0 ? WIRE_CONTROL : WIRE_DATA;
	uint64_t seq = get_be48(data + 8);
	size_t bit = get_be16(data + 15), len = size - 17;
	struct wire_inner in;

	check_inner(data);
	wire_get_inner(&in, type == WIRE_CONTROL, data);
	memcpy(room + WIRE_INNER_LEN, data + 17, len);
	len = session_seal(
	    from, type, seq, &in, room + WIRE_INNER_LEN, len, dgram);
	require(len == size - 17 + session_overhead(from));
	if (bit < len * 8) {
		dgram[bit / 8] ^= (uint8_t)(1 << bit % 8);
		require(try_open(to, len) != SESSION_OK ||
			to->cipher == SESSION_NONE);
		return;
	}
	require(try_open(to, len) == SESSION_OK);
	session_seal(
	    from, type, seq, &in, room + WIRE_INNER_LEN, size - 17, dgram);
	require(try_open(to, len) == SESSION_REPLAYED);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct session client = { 0 }, server = { 0 };
	unsigned flags;

	if (size == 0 || size > LEN_MAX)
		return 0;
	flags = data[0];
	make_session(&client, flags & 3, false);
	make_session(&server, flags & 3, true);
	if ((flags & 4) != 0) {
		memcpy(dgram, data + 1, size - 1);
		require(try_open(&server, size - 1) != SESSION_OK ||
			server.cipher == SESSION_NONE);
	} else if (size - 1 >= 17) {
		seal_and_open(&client, &server, data + 1, size - 1);
	}
	session_clear(&client);
	session_clear(&server);
	return 0;
}
