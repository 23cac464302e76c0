// Vectors of LANES floats or integers, and what C does not say about them; included once a level, see loops.cpp.

typedef float Floats __attribute__((vector_size(LANES * 4)));
typedef int32_t Ints __attribute__((vector_size(LANES * 4)));
typedef uint32_t Words __attribute__((vector_size(LANES * 4)));

#define INLINE static inline __attribute__((always_inline))

INLINE Floats load(const float* p) {
    Floats x;
    memcpy(&x, p, sizeof x);
    return x;
}

INLINE void store(float* p, Floats x) { memcpy(p, &x, sizeof x); }

INLINE Ints load_ints(const int32_t* p) {
    Ints x;
    memcpy(&x, p, sizeof x);
    return x;
}

// The `count` < LANES numbers at p, and `rest` behind them.
INLINE Floats load_some(const float* p, int64_t count, float rest) {
    float all[LANES];
    for (int i = 0; i < LANES; i++) all[i] = rest;
    memcpy(all, p, count * sizeof(float));
    return load(all);
}

INLINE void store_some(float* p, int64_t count, Floats x) {
    float all[LANES];
    store(all, x);
    memcpy(p, all, count * sizeof(float));
}

INLINE Floats every(float x) { return x - Floats{}; }

INLINE Floats larger(Floats a, Floats b) { return a > b ? a : b; }

INLINE float largest(Floats x) {
    float top = x[0];
    for (int i = 1; i < LANES; i++) top = x[i] > top ? x[i] : top;
    return top;
}

INLINE double total(Floats x) {
    double sum = 0;
    for (int i = 0; i < LANES; i++) sum += x[i];
    return sum;
}

// ln(x) of a normal number above zero, to 2 units in the last place: x = m 2^n with m around 1, and a polynomial in m - 1.
INLINE Floats logarithm_of(Floats x) {
    const Ints n = ((Ints)x - 0x3f3504f3) >> 23;  // the bits of the root of 1/2, from which m goes to twice that
    const Floats power = __builtin_convertvector(n, Floats);
    const Floats r = (Floats)((Ints)((Words)x - ((Words)n << 23))) - 1.0f;
    Floats p = every(7.0376836292e-2f);
    p = p * r - 1.1514610310e-1f;
    p = p * r + 1.1676998740e-1f;
    p = p * r - 1.2420140846e-1f;
    p = p * r + 1.4249322787e-1f;
    p = p * r - 1.6668057665e-1f;
    p = p * r + 2.0000714765e-1f;
    p = p * r - 2.4999993993e-1f;
    p = p * r + 3.3333331174e-1f;
    const Floats square = r * r;
    return r + (square * (r * p - 0.5f) - power * 2.12194440e-4f) + power * 0.693359375f;
}

// exp(x) to 1.5 units in the last place: 2^n times a polynomial in the rest. 0 below -87.33, where the result would
// no longer be a normal number; infinity above 88.72; NaN stays.
INLINE Floats exponential_of(Floats x) {
    const float round = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the last bits
    const Floats shifted = x * 1.44269504088896341f + round;
    const Floats n = shifted - round;
    const Floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    Floats p = every(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    const Floats result = (Floats)((Words)p + ((Words)shifted << 23));
    const Floats zero = {}, infinite = every(__builtin_inff());
    const Floats inside = x < -87.336544f ? zero : x > 88.722835f ? infinite : result;
    return x == x ? inside : x;
}
