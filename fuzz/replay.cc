// Runs every seed through its target once, in a build with any compiler:
//   fuzz_replay CORPUS [TARGET=FOLDER ...]
// CORPUS has one folder for each target; TARGET=FOLDER gives a target the files of one more. A
// finding ends the process, after the name of the seed has been printed.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/fuzz.h"

#include "cliplens/io/file.h"

namespace {

namespace fs = std::filesystem;

int Run(int argc, char** argv) {
  using cliplens::fuzz::Targets;
  if (argc < 2) {
    std::fprintf(stderr, "usage: fuzz_replay CORPUS [TARGET=FOLDER ...]\n");
    return 2;
  }
  const fs::path corpus = argv[1];
  std::vector<std::pair<std::string, fs::path>> folders;
  for (const auto& [name, target] : Targets()) folders.emplace_back(name, corpus / name);
  for (int i = 2; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::size_t equals = argument.find('=');
    if (equals == std::string::npos || !Targets().contains(argument.substr(0, equals))) {
      std::fprintf(stderr, "%s: not TARGET=FOLDER\n", argv[i]);
      return 2;
    }
    folders.emplace_back(argument.substr(0, equals), argument.substr(equals + 1));
  }
  // A folder without a target would be seeds that nothing runs any more.
  for (const auto& entry : fs::directory_iterator(corpus)) {
    if (entry.is_directory() && !Targets().contains(entry.path().filename().string())) {
      std::fprintf(stderr, "%s: there is no such target\n", entry.path().c_str());
      return 1;
    }
  }
  int count = 0;
  for (const auto& [name, folder] : folders) {
    std::vector<fs::path> seeds;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.is_regular_file()) seeds.push_back(entry.path());
    }
    if (seeds.empty()) {
      std::fprintf(stderr, "%s: no seeds\n", folder.c_str());
      return 1;
    }
    std::sort(seeds.begin(), seeds.end());
    int accepted = 0;
    for (const fs::path& seed : seeds) {
      std::printf("%s %s\n", name.c_str(), seed.filename().c_str());
      std::fflush(stdout);
      const auto bytes = cliplens::ReadFile(seed, std::numeric_limits<std::int32_t>::max());
      cliplens::fuzz::Accepted() = false;
      Targets().at(name)(bytes);
      accepted += cliplens::fuzz::Accepted() ? 1 : 0;
      ++count;
    }
    if (accepted == 0) {
      std::fprintf(stderr, "%s: no seed is accepted; see fuzz/make_corpus.py\n", folder.c_str());
      return 1;
    }
  }
  std::printf("%d seeds of %zu targets\n", count, Targets().size());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "fuzz_replay: %s\n", e.what());
    return 1;
  }
}
