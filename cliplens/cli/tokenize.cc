// cliplens tokenize MODEL --texts FILE
#include <memory>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/cli/verb.h"
#include "cliplens/io/file.h"

namespace cliplens::cli {
namespace {

struct TokenizeArguments {
  ModelChoice model;
  std::string texts;
  bool truncate = false;
};

// Lines as they are: blanks and tabs belong to the text here.
std::vector<std::string> ReadLines(const std::string& path) {
  const std::string text = ReadTextFile(path, Index{256} << 20, FileKind::kRegularOrPipe);
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  if (lines.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "{}: no texts in it; put one text on each line", path);
  }
  return lines;
}

void Run(const TokenizeArguments& options, const Common& common) {
  const ClipModel model = LoadModel(options.model);
  const std::vector<std::string> lines = ReadLines(options.texts);
  const std::vector<Tokens> tokens = model.TokenizeTexts(lines, options.truncate, common.threads);
  Json texts = Json::array();
  std::string out;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Tokens& t = tokens[i];
    const std::vector<std::int32_t> ids(t.ids.begin(), t.ids.begin() + t.count);
    if (common.json) {
      texts.push_back(
          {{"text", lines[i]}, {"ids", ids}, {"pooled", t.end}, {"truncated", t.truncated}});
    } else {
      out += DumpJson(ids) + "\n";
    }
  }
  if (common.json) {
    PrintJson({{"format", "cliplens.tokenize/1"},
               {"context_length", model.config().context_length},
               {"vocabulary_size", model.tokenizer().vocabulary_size()},
               {"texts", texts}});
  } else {
    Print(out);
  }
}

}  // namespace

void AddTokenize(CLI::App& app, Common& common) {
  auto options = std::make_shared<TokenizeArguments>();
  CLI::App* verb =
      AddVerb(app, common, "tokenize", "Token ids of each line, from start to end token",
              "cliplens tokenize pictureworld --texts captions.txt");
  AddModelArgument(verb, options->model);
  verb->add_option("--texts", options->texts, "File with one text a line")->required();
  verb->add_flag("--truncate", options->truncate, "Cut texts longer than the context");
  verb->callback([options, &common] { Run(*options, common); });
}

}  // namespace cliplens::cli
