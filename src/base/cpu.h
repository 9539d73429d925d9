/*
 * What this processor does in hardware; decides the cipher when it is auto.
 */
#ifndef MLVPN_BASE_CPU_H
#define MLVPN_BASE_CPU_H

#include <stdbool.h>

/* AES and the multiplication of GCM as instructions. */
bool cpu_has_aes(void);

#endif
