// What is compiled once a level of instructions; no include guard, on purpose. LANES says how many floats a vector has.
#include "vector.h"
#include "rows.h"
#include "entmax.h"
#include "cap.h"
#include "additive.h"
#include "window.h"
