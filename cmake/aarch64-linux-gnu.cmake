# For CMAKE_TOOLCHAIN_FILE: Debian's cross compiler (package g++-aarch64-linux-gnu). What Python adds, headers that do
# not depend on the architecture, comes from the Python that builds (see tools/check_aarch64.py).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
