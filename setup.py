"""Builds the native loops where there is a C++ compiler; without one the installation goes on, and says what it costs.

Everything else about the package is in pyproject.toml.
"""

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FOLDER = "src/attnkit/kernels/native"
HEADERS = ("additive.h", "arguments.h", "cap.h", "entmax.h", "levels.h", "rows.h", "vector.h", "window.h")
WITHOUT = (
    "attnkit: no native loops, so sparsemax, entmax, additive scores, soft caps, windows and dropout run on plain "
    "PyTorch, slower"
)


class OptionalLoops(build_ext):
    """Builds, or says in one line why not and what that costs."""

    def run(self) -> None:
        """Never fails: the loops are an option."""
        try:
            super().run()
        except Exception as error:  # whatever a missing or broken compiler raises
            self.warn(f"{WITHOUT} ({' '.join(str(error).split())})")

    def build_extension(self, ext: Extension) -> None:
        """Flags by compiler: the loops are written in the vectors of GCC and Clang."""
        if self.compiler.compiler_type == "msvc":
            self.warn(f"{WITHOUT} (they need GCC or Clang)")
            return
        try:
            super().build_extension(ext)
        except Exception as error:  # as above
            self.warn(f"{WITHOUT} ({' '.join(str(error).split())})")


setup(
    ext_modules=[
        Extension(
            "attnkit.kernels.native._loops",
            sources=[f"{FOLDER}/loops.cpp"],
            depends=[f"{FOLDER}/{header}" for header in HEADERS],
            language="c++",
            extra_compile_args=[
                "-std=c++17",
                "-O3",
                "-g0",
                "-fno-math-errno",
                "-ffp-contract=fast",
                "-fvisibility=hidden",
                "-pthread",
                "-Wno-psabi",
            ],
            extra_link_args=["-pthread"],
            optional=True,
            py_limited_api=True,
        )
    ],
    cmdclass={"build_ext": OptionalLoops},
    # The library is called through ctypes, so one build serves every Python from 3.11 on.
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
