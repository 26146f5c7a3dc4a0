/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_number_text.h - floating-point numbers as text: the fewest digits that read back as the same
 * number, always with a point, an exponent, "nan" or "inf" in it.
 */
#ifndef PVM_NUMBER_TEXT_H
#define PVM_NUMBER_TEXT_H

enum { PVM_NUMBER_TEXT = 40 };

void pvm_float_text(float value, char text[PVM_NUMBER_TEXT]);
void pvm_double_text(double value, char text[PVM_NUMBER_TEXT]);

#endif /* PVM_NUMBER_TEXT_H */
