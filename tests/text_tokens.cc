// Token ids of the lines of standard input, one JSON list a line, for the tests in Python.
//
//   text_tokens DIRECTORY '{"context": 64, "clean": "canonicalize", "fill": true}' < texts.txt
#include <cstdio>
#include <iostream>
#include <string>

#include "cliplens/base/error.h"
#include "cliplens/io/json.h"
#include "cliplens/model/tokenizer.h"

namespace cliplens {
namespace {

TextCleaning CleaningOf(const std::string& name) {
  if (name == "whitespace") return TextCleaning::kWhitespace;
  if (name == "lower") return TextCleaning::kLower;
  if (name == "canonicalize") return TextCleaning::kCanonicalize;
  return TextCleaning::kNone;
}

int Run(const char* directory, const Json& rule) {
  const Tokenizer tokenizer =
      Tokenizer::LoadFiles(directory, {.context_length = rule.value("context", Index{64}),
                                       .cleaning = CleaningOf(rule.value("clean", "")),
                                       .fills_context = rule.value("fill", false),
                                       .strips_separator = rule.value("strip_sep", false),
                                       .tokenizer_class = rule.value("class", "")});
  std::string line;
  const bool words = rule.value("words", false);
  while (std::getline(std::cin, line)) {
    const Tokens tokens = tokenizer.Encode(line);
    Json out = tokens.ids;
    if (words) {
      out = Json::array();
      for (const TextWord& word : tokenizer.Words(tokens)) {
        out.push_back(Json::array({word.text, word.begin, word.end}));
      }
    }
    std::cout << DumpJson(out) << '\n';
  }
  return 0;
}

}  // namespace
}  // namespace cliplens

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    return cliplens::Run(argv[1], cliplens::ParseJson(argv[2], "the rule"));
  } catch (const cliplens::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
