/*
 * Asks the processor (x86) or the kernel's hardware capabilities (the others)
 * for AES instructions.  A processor that is not listed here has none: the
 * tunnel then prefers ChaCha20-Poly1305, which is right for small ones.
 */
#include "config.h"

#include <sys/auxv.h>

#include <stdbool.h>

#include "base/cpu.h"

#if defined(__aarch64__)
#define CAP_WORD AT_HWCAP
#define CAP_BITS (1UL << 3 | 1UL << 4) /* HWCAP_AES, HWCAP_PMULL */
#elif defined(__arm__)
#define CAP_WORD AT_HWCAP2
#define CAP_BITS (1UL << 0 | 1UL << 1) /* HWCAP2_AES, HWCAP2_PMULL */
#elif defined(__powerpc64__)
#define CAP_WORD AT_HWCAP2
#define CAP_BITS 0x02000000UL /* PPC_FEATURE2_VEC_CRYPTO */
#elif defined(__s390x__)
#define CAP_WORD AT_HWCAP
#define CAP_BITS (1UL << 3) /* HWCAP_S390_MSA */
#endif

#if defined(__x86_64__) || defined(__i386__)
bool
cpu_has_aes(void)
{
	return __builtin_cpu_supports("aes") &&
	       __builtin_cpu_supports("pclmul");
}
#elif defined(CAP_WORD)
bool
cpu_has_aes(void)
{
	return (getauxval(CAP_WORD) & CAP_BITS) == CAP_BITS;
}
#else
bool
cpu_has_aes(void)
{
	return false;
}
#endif
