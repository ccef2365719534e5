// What --arch makes of names of open_clip's, for the tests in Python and for docs/models.md.
//
//   architecture_table < configurations.jsonl
//
// Reads an object a line, {"name": ..., "config": ...}, the configuration as open_clip has it, and
// prints one for each: {"texts": "here", "rows" or null (refused), "equal": whether the name and
// the configuration say the same, "by_name", "by_config": why not, or null}. With "tensors": true
// also the "tensors" {name: shape} that a file of the configuration has, in each of the layouts
// with open_clip's names.
#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/json.h"
#include "cliplens/model/architectures.h"
#include "cliplens/model/tensor_table.h"

namespace cliplens {
namespace {

struct Answer {
  std::optional<ModelConfig> config;
  Json why;  // not
};

template <typename Read>
Answer AnswerOf(const Read& read) {
  try {
    return {.config = read(), .why = nullptr};
  } catch (const Error& error) {
    return {.config = std::nullopt, .why = error.what()};
  }
}

Json TensorsOf(const ModelConfig& config) {
  Json layouts = Json::array();
  for (const TensorFamily& family : TensorFamilies()) {
    if (std::string_view(family.name) != "open_clip") continue;
    Json tensors = Json::object();
    for (const TensorRow& row : family.rows) {
      if (!Uses(config, row)) continue;
      for (Index l = 0; l < LayersOf(row, config); ++l) {
        for (const auto& [name, shape] : TensorsInFile(row, l, config)) {
          if (!name.empty()) tensors[name] = shape;
        }
      }
    }
    layouts.push_back(std::move(tensors));
  }
  return layouts;
}

void Run() {
  std::string line;
  while (std::getline(std::cin, line)) {
    const Json row = ParseJson(line, "a line");
    const auto name = JsonField<std::string>(row, "name", "a line");
    const Answer by_name = AnswerOf([&] { return FindArchitecture(name); });
    const Answer by_config =
        AnswerOf([&] { return ParseOpenClipConfig(JsonField<Json>(row, "config", name), name); });
    Json texts = nullptr;
    if (by_name.config) texts = by_name.config->has_text() ? "here" : "rows";
    Json answer = {{"texts", texts},
                   {"equal", by_name.config == by_config.config},
                   {"by_name", by_name.why},
                   {"by_config", by_config.why}};
    if (row.contains("tensors") && by_config.config) {
      answer["tensors"] = TensorsOf(*by_config.config);
    }
    std::cout << DumpJson(answer) << '\n';
  }
}

}  // namespace
}  // namespace cliplens

int main() {
  try {
    cliplens::Run();
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
