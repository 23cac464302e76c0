// Additive scores, sum_h v_h tanh(a_rh + b_sh), and their gradients; included once a level, see loops.cpp.
//
// No exponential is taken here: Python has taken those of the queries and of the keys, once each. Three ways lead from
// them to t = tanh(a + b) and 1 - t^2, and Python has chosen the one that is exact for the numbers at hand
// (rows/additive.py).

// t = (a + b) / (1 + a b) of a = tanh(a'), b = tanh(b'): right in each bit near zero, where the others lose some.
#define ADDITIVE_SUM 0
// y = 1 / (1 + p) of p = a b, a = e^(-2a'), b = e^(-2b'): t = y - p y, as long as no p leaves the normal numbers.
#define ADDITIVE_PRODUCT 1
// The same of a = m 2^n, b = m 2^n with the powers n apart: for numbers of any size.
#define ADDITIVE_WIDE 2

// 1 / d to one unit in the last place, for 1/4 <= d <= 2^125.
INLINE Floats reciprocal(Floats d) {
#if LANES == 16
    // A guess to 14 bits and a step of Newton's take a third of a division's time.
    const Floats guess = (Floats)_mm512_maskz_rcp14_ps(0xffff, (__m512)d);
    return guess + guess * (1.0f - d * guess);
#else
    return 1.0f / d;
#endif
}

template <int FORM>
INLINE Floats additive_product(Floats a, Floats b, Floats a_power, Floats b_power) {
    if (FORM != ADDITIVE_WIDE) return a * b;
    const Floats low = every(-64.0f), high = every(64.0f);
    Floats power = a_power + b_power;
    power = power < low ? low : power > high ? high : power;
    // The power is whole: behind 1.5 * 2^23 it stands in the last bits.
    return (Floats)((Words)(a * b) + ((Words)(power + 12582912.0f) << 23));
}

template <int FORM>
INLINE Floats additive_tanh(Floats a, Floats b, Floats a_power, Floats b_power) {
    const Floats p = additive_product<FORM>(a, b, a_power, b_power), y = reciprocal(p + 1.0f);
    return FORM == ADDITIVE_SUM ? (a + b) * y : y - p * y;
}

// t, and in `slope` 1 - t^2, or a quarter of it where the form is not the sum: y (1 - y), which is exact in the tails.
template <int FORM>
INLINE Floats additive_slope(Floats a, Floats b, Floats a_power, Floats b_power, Floats* slope) {
    const Floats p = additive_product<FORM>(a, b, a_power, b_power), y = reciprocal(p + 1.0f);
    if (FORM == ADDITIVE_SUM) {
        const Floats t = (a + b) * y;
        *slope = 1.0f - t * t;
        return t;
    }
    const Floats rest = p * y;
    *slope = y * rest;
    return y - rest;
}

// Scores of `count` rows and two vectors of keys, in registers.
template <int FORM, int COUNT>
INLINE void additive_tile(const Additive* f, int64_t row, int64_t key, float* x, int64_t stride, int64_t left) {
    Floats sums[COUNT][2] = {};
    for (int64_t h = 0; h < f->hidden; h++) {
        const float* b = f->b + h * f->b_stride + key;
        const Floats b0 = load(b), b1 = load(b + LANES);
        Floats n0 = {}, n1 = {};
        if (FORM == ADDITIVE_WIDE) {
            n0 = load(f->b_power + h * f->b_stride + key);
            n1 = load(f->b_power + h * f->b_stride + key + LANES);
        }
        const Floats v = every(f->v[h]);
        for (int r = 0; r < COUNT; r++) {
            const int64_t at = (row + r) * f->hidden + h;
            const Floats a = every(f->a[at]);
            const Floats n = FORM == ADDITIVE_WIDE ? every(f->a_power[at]) : a;
            sums[r][0] += v * additive_tanh<FORM>(a, b0, n, n0);
            sums[r][1] += v * additive_tanh<FORM>(a, b1, n, n1);
        }
    }
    for (int r = 0; r < COUNT; r++) {
        float* to = x + r * stride;
        if (left >= 2 * LANES) {
            store(to, sums[r][0]);
            store(to + LANES, sums[r][1]);
        } else {
            float all[2 * LANES];
            store(all, sums[r][0]);
            store(all + LANES, sums[r][1]);
            memcpy(to, all, left * sizeof(float));
        }
    }
}

template <int FORM>
INLINE void additive_rows(const AdditiveScores* s, int64_t first, int64_t last) {
    const Additive* f = &s->factors;
    // All rows meet two vectors of keys before the next two: those stay in the nearest memory.
    for (int64_t key = 0; key < f->keys; key += 2 * LANES) {
        int64_t row = first;
        for (; row + 4 <= last; row += 4)
            additive_tile<FORM, 4>(f, row, key, s->x + row * s->stride + key, s->stride, f->keys - key);
        for (; row < last; row++)
            additive_tile<FORM, 1>(f, row, key, s->x + row * s->stride + key, s->stride, f->keys - key);
    }
}

static void additive(const void* arguments, int64_t first, int64_t last) {
    const AdditiveScores* s = (const AdditiveScores*)arguments;
    if (s->factors.form == ADDITIVE_SUM)
        additive_rows<ADDITIVE_SUM>(s, first, last);
    else if (s->factors.form == ADDITIVE_PRODUCT)
        additive_rows<ADDITIVE_PRODUCT>(s, first, last);
    else
        additive_rows<ADDITIVE_WIDE>(s, first, last);
}

INLINE float sum_of(Floats x) {
    float all[LANES];
    store(all, x);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) all[i] += all[i + half];
    return all[0];
}

// Gradients of COUNT rows and of the keys of a strip: w = g (1 - t^2) goes to a and, by v, to b; g t to v.
template <int FORM, int COUNT>
INLINE void additive_back(const AdditiveGrads* s, int64_t row, int64_t key, int64_t size, float* d_a, float* d_b,
                          float* d_v) {
    const Additive* f = &s->factors;
    float few[COUNT][LANES];
    const int64_t whole = size / LANES * LANES, left = size - whole;
    for (int r = 0; r < COUNT; r++) store(few[r], load_some(s->grad + (row + r) * s->stride + key + whole, left, 0.0f));
    for (int64_t h = 0; h < f->hidden; h++) {
        const float* b = f->b + h * f->b_stride + key;
        const float* b_power = f->b_power + h * f->b_stride + key;
        const float v = FORM == ADDITIVE_SUM ? f->v[h] : 4.0f * f->v[h];
        Floats a[COUNT], n[COUNT], to_a[COUNT] = {}, to_v = {};
        for (int r = 0; r < COUNT; r++) {
            a[r] = every(f->a[(row + r) * f->hidden + h]);
            n[r] = FORM == ADDITIVE_WIDE ? every(f->a_power[(row + r) * f->hidden + h]) : a[r];
        }
        for (int64_t i = 0; i < size; i += LANES) {
            const Floats keys = load(b + i);
            const Floats powers = FORM == ADDITIVE_WIDE ? load(b_power + i) : keys;
            Floats to_b = {};
            for (int r = 0; r < COUNT; r++) {
                const Floats g = load(i < whole ? s->grad + (row + r) * s->stride + key + i : few[r]);
                Floats slope;
                to_v += g * additive_slope<FORM>(a[r], keys, n[r], powers, &slope);
                const Floats w = g * slope;
                to_a[r] += w;
                to_b += w;
            }
            float* into = d_b + h * ADDITIVE_STRIP + i;
            store(into, load(into) + v * to_b);
        }
        store(d_v + h * LANES, load(d_v + h * LANES) + to_v);
        for (int r = 0; r < COUNT; r++) d_a[(row + r) * f->hidden + h] = v * sum_of(to_a[r]);
    }
}

// Strips `first` to `last` - 1 of keys, with all rows. What a strip finds of a and v stands in its own place, so that
// sums do not depend on how many threads there are; what it finds of b is collected apart before it is added.
template <int FORM>
INLINE void additive_strips(const AdditiveGrads* s, int64_t first, int64_t last) {
    const Additive* f = &s->factors;
    float* d_b = (float*)malloc(f->hidden * (ADDITIVE_STRIP + LANES) * sizeof(float));
    float* d_v = d_b + f->hidden * ADDITIVE_STRIP;
    for (int64_t strip = first; strip < last; strip++) {
        memset(d_b, 0, f->hidden * (ADDITIVE_STRIP + LANES) * sizeof(float));
        const int64_t key = strip * ADDITIVE_STRIP;
        const int64_t size = f->keys - key < ADDITIVE_STRIP ? f->keys - key : ADDITIVE_STRIP;
        float* d_a = s->d_a + strip * s->rows * f->hidden;
        int64_t row = 0;
        for (; row + 4 <= s->rows; row += 4) additive_back<FORM, 4>(s, row, key, size, d_a, d_b, d_v);
        for (; row < s->rows; row++) additive_back<FORM, 1>(s, row, key, size, d_a, d_b, d_v);
        for (int64_t h = 0; h < f->hidden; h++) {
            float* to = s->d_b + h * s->d_b_stride + key;
            for (int64_t i = 0; i < size; i++) to[i] += d_b[h * ADDITIVE_STRIP + i];
            s->d_v[strip * f->hidden + h] = sum_of(load(d_v + h * LANES));
        }
    }
    free(d_b);
}

static void additive_backward(const void* arguments, int64_t first, int64_t last) {
    const AdditiveGrads* s = (const AdditiveGrads*)arguments;
    if (s->factors.form == ADDITIVE_SUM)
        additive_strips<ADDITIVE_SUM>(s, first, last);
    else if (s->factors.form == ADDITIVE_PRODUCT)
        additive_strips<ADDITIVE_PRODUCT>(s, first, last);
    else
        additive_strips<ADDITIVE_WIDE>(s, first, last);
}
