// Soft caps; included once a level, see loops.cpp.

// tanh(x) to 3 units in the last place: a quotient of polynomials in x near zero, where e^2x - 1 would lose digits, and
// (e^2x - 1) / (e^2x + 1) beyond. NaN stays.
INLINE Floats hyperbolic_tangent_of(Floats x) {
    const Floats square = x * x;
    // The continued fraction of Lambert to its ninth step: below 0.6 it errs by less than a rounding.
    const Floats above = x * (945.0f + square * (105.0f + square));
    const Floats below = 945.0f + square * (420.0f + square * 15.0f);
    const Floats twice = x + x, most = every(40.0f), least = every(-40.0f);
    const Floats held = twice > most ? most : twice < least ? least : twice;
    const Floats power = exponential_of(held);
    // One division serves both.
    const Ints near = square < 0.36f;
    const Floats numerator = near ? above : power - 1.0f;
    const Floats denominator = near ? below : power + 1.0f;
    const Floats result = numerator / denominator;
    return x == x ? result : x;
}

// x becomes cap tanh(x / cap), and slope, where it is wanted, 1 - tanh^2.
static void cap(const void* arguments, int64_t first, int64_t last) {
    const Cap* a = (const Cap*)arguments;
    const float inverse = 1.0f / a->cap;
    for (int64_t row = first; row < last; row++) {
        float* x = a->x + row * a->stride;
        float* slope = a->slope ? a->slope + row * a->slope_stride : nullptr;
        for (int64_t i = 0; i < a->size; i += LANES) {
            const int64_t left = a->size - i;
            const Floats given = left < LANES ? load_some(x + i, left, 0.0f) : load(x + i);
            const Floats tangent = hyperbolic_tangent_of(given * inverse);
            const Floats capped = tangent * a->cap, falling = 1.0f - tangent * tangent;
            if (left < LANES) {
                store_some(x + i, left, capped);
                if (slope) store_some(slope + i, left, falling);
            } else {
                store(x + i, capped);
                if (slope) store(slope + i, falling);
            }
        }
    }
}
