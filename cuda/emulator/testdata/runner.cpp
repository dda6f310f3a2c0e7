// Calls any function of a library by name, for tests written in Go without cgo. One
// command a line on stdin, one answer a line on stdout; numbers are hexadecimal.
//   mem N                 -> address of N zeroed bytes
//   write ADDR HEX        -> 0
//   read ADDR N           -> HEX
//   call NAME ARG…        -> result (every argument an integer or an address)
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>

using U = uint64_t;

int main(int, char** argv) {
  void* lib = dlopen(argv[1], RTLD_NOW);
  if (!lib) {
    fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream in(line);
    std::string cmd, name;
    U a = 0, n = 0;
    in >> cmd >> std::hex;
    if (cmd == "mem") {
      in >> n;
      printf("%llx\n", (unsigned long long)calloc(1, n + 64));
    } else if (cmd == "write") {
      std::string hex;
      in >> a >> hex;
      auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
      for (size_t i = 0; i + 1 < hex.size(); i += 2) ((uint8_t*)a)[i / 2] = (uint8_t)(digit(hex[i]) << 4 | digit(hex[i + 1]));
      printf("0\n");
    } else if (cmd == "read") {
      in >> a >> n;
      std::string out;
      for (U i = 0; i < n; i++) {
        out += "0123456789abcdef"[((uint8_t*)a)[i] >> 4];
        out += "0123456789abcdef"[((uint8_t*)a)[i] & 15];
      }
      printf("%s\n", out.c_str());
    } else if (cmd == "call") {
      in >> name;
      U x[12] = {};
      for (int i = 0; i < 12 && in >> x[i];) i++;
      auto f = (int (*)(U, U, U, U, U, U, U, U, U, U, U, U))dlsym(lib, name.c_str());
      if (!f) printf("ffffffff\n");
      else printf("%x\n", (unsigned)f(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7], x[8], x[9], x[10], x[11]));
    }
    fflush(stdout);
  }
}
