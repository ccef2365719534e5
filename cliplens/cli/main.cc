// The program: `cliplens VERB ...`.
#include <string>
#include <vector>

#include "cliplens/cli/command_line.h"

int main(int argc, char** argv) {
  return cliplens::cli::Main(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
