/*
 * The pool: slabs of one size for all classes, so that a slab which became
 * completely free can serve any other class.  Slabs are carved lazily: an idle
 * process touches little.  Free buffers are reused last in, first out, because
 * those are still in the cache.
 *
 * A slab fits the largest buffer, and with malloc's own header is a whole
 * number of pages.  A process that wants a burst's memory back at once sets
 * M_MMAP_THRESHOLD to 64 KiB.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "tunnel/pktbuf.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#endif

/* A freed buffer is poisoned, so that a use after free does not go unseen. */
#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#define poison(p, n) __asan_poison_memory_region(p, n)
#define unpoison(p, n) __asan_unpoison_memory_region(p, n)
#else
#define poison(p, n) ((void)(p), (void)(n))
#define unpoison(p, n) ((void)(p), (void)(n))
#endif

#define SLAB_BYTES (68 * 1024 - 64)
#define SPARE_MAX 8 /* free slabs that are kept for the next burst */
#define ALIGN 16
#define ALIGN_UP(n) (((n) + (ALIGN - 1)) & ~(size_t)(ALIGN - 1))

struct buf {
	struct slab *slab;
	struct buf *next_free;
	struct pktbuf pb;
	/* then the headroom and the bytes of the packet */
};

struct slab {
	TAILQ_ENTRY(slab) entry; /* of the list that its fill calls for */
	struct buf *free;	 /* buffers that were used and freed */
	unsigned class;
	unsigned carved; /* buffers that were ever used */
	unsigned used;	 /* buffers in use */
};

TAILQ_HEAD(slab_list, slab);

static const uint32_t class_size[] = { 256, 2048, 9216, 22528, 65536 };
#define CLASSES nitems_of(class_size)

struct pktbuf_pool {
	/* conf */
	size_t max_slabs;
	size_t reserve; /* slabs that packets which wait may not take */
	size_t quota[PKTBUF_USES]; /* bytes */
	/* state */
	struct slab_list partial[CLASSES]; /* slabs with room */
	struct slab_list full;
	struct slab_list spare; /* slabs without a class */
	size_t spares;
	size_t busy;		  /* slabs with a class */
	size_t used[PKTBUF_USES]; /* bytes */
};

_Static_assert(sizeof(struct slab) + sizeof(struct buf) + PKTBUF_HEADROOM +
		       65536 + 2 * ALIGN <=
		   SLAB_BYTES,
    "the largest buffer fits a slab");

static inline size_t
stride(unsigned class)
{
	return ALIGN_UP(
	    sizeof(struct buf) + PKTBUF_HEADROOM + class_size[class]);
}

static inline unsigned
per_slab(unsigned class)
{
	return (unsigned)((SLAB_BYTES - ALIGN_UP(sizeof(struct slab))) /
			  stride(class));
}

/* The smallest class that holds len bytes, or CLASSES. */
static unsigned
class_for(size_t len)
{
	unsigned class = 0;

	while (class < CLASSES && class_size[class] < len)
		class ++;
	return class;
}

static inline struct buf *
buf_of(const struct pktbuf *pb)
{
	return (struct buf *)((uintptr_t)pb - offsetof(struct buf, pb));
}

static inline uint8_t *
storage(const struct pktbuf *pb)
{
	return (uint8_t *)(buf_of(pb) + 1);
}

struct pktbuf_pool *
pktbuf_pool_new(size_t limit_bytes)
{
	struct pktbuf_pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		return NULL;
	pool->max_slabs = limit_bytes / SLAB_BYTES;
	pool->reserve = pool->max_slabs / 16;
	for (unsigned i = 0; i < CLASSES; i++)
		TAILQ_INIT(&pool->partial[i]);
	TAILQ_INIT(&pool->full);
	TAILQ_INIT(&pool->spare);
	for (unsigned i = 0; i < PKTBUF_USES; i++)
		pool->quota[i] = SIZE_MAX;
	return pool;
}

static void
free_slabs(struct slab_list *list)
{
	struct slab *slab;

	while ((slab = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, slab, entry);
		free(slab);
	}
}

void
pktbuf_pool_free(struct pktbuf_pool *pool)
{
	if (pool == NULL)
		return;
	for (unsigned i = 0; i < CLASSES; i++)
		free_slabs(&pool->partial[i]);
	free_slabs(&pool->full);
	free_slabs(&pool->spare);
	free(pool);
}

void
pktbuf_set_quota(struct pktbuf_pool *pool, enum pktbuf_use use, size_t bytes)
{
	pool->quota[use] = bytes;
}

size_t
pktbuf_used(const struct pktbuf_pool *pool, enum pktbuf_use use)
{
	return pool->used[use];
}

size_t
pktbuf_pool_bytes(const struct pktbuf_pool *pool)
{
	return (pool->busy + pool->spares) * SLAB_BYTES;
}

/* An empty slab that another class has kept, or NULL; it is the last. */
static struct slab *
slab_reclaim(struct pktbuf_pool *pool)
{
	for (unsigned i = 0; i < CLASSES; i++) {
		struct slab *slab = TAILQ_LAST(&pool->partial[i], slab_list);

		if (slab != NULL && slab->used == 0) {
			TAILQ_REMOVE(&pool->partial[i], slab, entry);
			pool->busy--;
			return slab;
		}
	}
	return NULL;
}

static struct slab *
slab_new(struct pktbuf_pool *pool, unsigned class)
{
	struct slab *slab;

	if ((slab = TAILQ_FIRST(&pool->spare)) != NULL) {
		TAILQ_REMOVE(&pool->spare, slab, entry);
		pool->spares--;
	} else if (pool->busy < pool->max_slabs)
		slab = malloc(SLAB_BYTES);
	else
		slab = slab_reclaim(pool);
	if (slab == NULL)
		return NULL;
	*slab = (struct slab){ .class = class };
	poison(slab + 1, SLAB_BYTES - sizeof(*slab));
	TAILQ_INSERT_HEAD(&pool->partial[class], slab, entry);
	pool->busy++;
	return slab;
}

/* Its room is for any class again; few are kept so that memory shrinks. */
static void
slab_release(struct pktbuf_pool *pool, struct slab *slab)
{
	pool->busy--;
	if (pool->spares == SPARE_MAX) {
		free(slab);
		return;
	}
	TAILQ_INSERT_HEAD(&pool->spare, slab, entry);
	pool->spares++;
}

static struct buf *
carve(struct slab *slab)
{
	uint8_t *base = (uint8_t *)slab + ALIGN_UP(sizeof(*slab));
	void *p = base + slab->carved++ * stride(slab->class);
	struct buf *b = p;

	unpoison(b, offsetof(struct buf, pb));
	b->slab = slab;
	return b;
}

/* A buffer without regard to quotas; its pb is not yet initialised. */
static struct buf *
buf_get(struct pktbuf_pool *pool, unsigned class)
{
	struct slab *slab = TAILQ_FIRST(&pool->partial[class]);
	struct buf *b;

	if (slab == NULL && (slab = slab_new(pool, class)) == NULL)
		return NULL;
	if ((b = slab->free) != NULL)
		slab->free = b->next_free;
	else
		b = carve(slab);
	if (++slab->used == per_slab(class)) {
		TAILQ_REMOVE(&pool->partial[class], slab, entry);
		TAILQ_INSERT_TAIL(&pool->full, slab, entry);
	}
	unpoison(b, stride(class));
	return b;
}

static void
buf_put(struct pktbuf_pool *pool, struct buf *b)
{
	struct slab *slab = b->slab;
	struct slab_list *partial = &pool->partial[slab->class];

	poison(&b->pb, stride(slab->class) - offsetof(struct buf, pb));
	b->next_free = slab->free;
	slab->free = b;
	if (slab->used-- == per_slab(slab->class)) {
		TAILQ_REMOVE(&pool->full, slab, entry);
		TAILQ_INSERT_HEAD(partial, slab, entry);
	}
	/* The only one with room is kept, or it would come and go. */
	if (slab->used == 0 &&
	    TAILQ_FIRST(partial) != TAILQ_LAST(partial, slab_list)) {
		TAILQ_REMOVE(partial, slab, entry);
		slab_release(pool, slab);
	}
}

static void
buf_init(struct buf *b, unsigned class, unsigned use)
{
	b->pb = (struct pktbuf){
		.data = (uint8_t *)(b + 1) + PKTBUF_HEADROOM,
		.size = class_size[class],
		.class = (uint8_t) class,
		.use = (uint8_t)use,
		.refs = 1,
	};
}

struct pktbuf *
pktbuf_alloc(struct pktbuf_pool *pool, size_t len)
{
	unsigned class = class_for(len);
	struct buf *b;

	if (class == CLASSES ||
	    pool->used[PKTBUF_IO] + stride(class) > pool->quota[PKTBUF_IO] ||
	    (b = buf_get(pool, class)) == NULL)
		return NULL;
	buf_init(b, class, PKTBUF_IO);
	pool->used[PKTBUF_IO] += stride(class);
	return &b->pb;
}

int
pktbuf_set_use(struct pktbuf_pool *pool, struct pktbuf *pb, enum pktbuf_use use)
{
	size_t bytes = stride(pb->class);

	if (use == pb->use)
		return 0;
	if (use != PKTBUF_IO &&
	    (pool->used[use] + bytes > pool->quota[use] ||
		pool->busy + pool->reserve > pool->max_slabs))
		return -1;
	pool->used[pb->use] -= bytes;
	pool->used[use] += bytes;
	pb->use = (uint8_t)use;
	return 0;
}

void
pktbuf_ref(struct pktbuf *pb)
{
	pb->refs++;
}

void
pktbuf_free(struct pktbuf_pool *pool, struct pktbuf *pb)
{
	if (pb == NULL || --pb->refs > 0)
		return;
	pool->used[pb->use] -= stride(pb->class);
	buf_put(pool, buf_of(pb));
}

struct pktbuf *
pktbuf_shrink(struct pktbuf_pool *pool, struct pktbuf *pb)
{
	unsigned class = class_for(pb->len);
	struct pktbuf *small;
	struct buf *b;
	uint8_t *data;

	if (class >= pb->class || pb->refs > 1 ||
	    (b = buf_get(pool, class)) == NULL)
		return pb;
	buf_init(b, class, pb->use);
	pool->used[pb->use] += stride(class);
	small = &b->pb;
	data = small->data;
	memcpy(data, pb->data, pb->len);
	*small = *pb;
	small->data = data;
	small->size = class_size[class];
	small->class = (uint8_t) class;
	pktbuf_free(pool, pb);
	return small;
}

size_t
pktbuf_headroom(const struct pktbuf *pb)
{
	return (size_t)(pb->data - storage(pb));
}

size_t
pktbuf_room(const struct pktbuf *pb)
{
	return PKTBUF_HEADROOM + pb->size - pktbuf_headroom(pb);
}
