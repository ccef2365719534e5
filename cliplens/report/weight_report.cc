#include "cliplens/report/weight_report.h"

#include <functional>
#include <vector>

#include <fmt/format.h>

#include "cliplens/report/csv.h"
#include "cliplens/report/json.h"
#include "cliplens/report/table.h"

namespace cliplens {
namespace {

// Calls `use` for the four lists of a direction.
using UseWords = std::function<void(const char* side, const char* sign, const SparseWords& words)>;
void ForWords(const DirectionWords& direction, const UseWords& use) {
  use("writes", "+", direction.writes.plus);
  use("writes", "-", direction.writes.minus);
  use("reads", "+", direction.reads.plus);
  use("reads", "-", direction.reads.minus);
}

std::string TextsOf(const SparseWords& words, const TextPool& pool) {
  std::string texts;
  for (const SparseWord& word : words.words) {
    texts += fmt::format("{}{} {:.2f}", texts.empty() ? "" : ", ", At(pool.texts, word.index),
                         word.weight);
  }
  return texts.empty() ? "no text points this way" : texts;
}

}  // namespace

Json SparseWordsJson(const SparseWords& words, const TextPool& pool) {
  Json texts = Json::array();
  for (const SparseWord& word : words.words) {
    Json text = {{"text", At(pool.texts, word.index)}};
    if (At(pool.properties, word.index)) text["property"] = *At(pool.properties, word.index);
    text["index"] = word.index;
    text["weight"] = word.weight;
    text["cosine"] = word.cosine;
    texts.push_back(std::move(text));
  }
  return {{"cosine", words.cosine}, {"texts", std::move(texts)}};
}

std::string WeightTable(const WeightWords& report) {
  std::string out;
  for (const HeadWords& head : report.heads) {
    out += fmt::format("{}  effective rank {:.1f} of {}\n", HeadName(head.id), head.effective_rank,
                       head.values.size());
    Table table({{"direction", Align::kRight},
                 {"share", Align::kRight},
                 {"side"},
                 {"cosine", Align::kRight},
                 {"texts"}});
    for (std::size_t k = 0; k < head.directions.size(); ++k) {
      const DirectionWords& direction = head.directions[k];
      bool first = true;
      ForWords(direction, [&](const char* side, const char* sign, const SparseWords& words) {
        table.AddRow({first ? fmt::format("{}", k + 1) : "",
                      first ? FormatPercent(direction.share) : "", fmt::format("{} {}", side, sign),
                      FormatNumber(words.cosine, 2), TextsOf(words, report.pool)});
        first = false;
      });
    }
    out += table.Render() + "\n";
  }
  return out;
}

Json WeightJson(const WeightWords& report) {
  Json json = {{"format", "cliplens.weights/1"},
               {"model", ModelJson(report.model_name, report.fingerprint)},
               {"pool", PoolJson(report.pool)},
               {"coherence", report.coherence},
               {"heads", Json::array()}};
  for (const HeadWords& head : report.heads) {
    Json entry = {{"head", HeadName(head.id)},
                  {"effective_rank", head.effective_rank},
                  {"values", std::vector<double>(head.values.begin(), head.values.end())},
                  {"directions", Json::array()}};
    for (const DirectionWords& direction : head.directions) {
      Json row = {{"value", direction.value}, {"share", direction.share}};
      ForWords(direction, [&](const char* side, const char* sign, const SparseWords& words) {
        row[side][sign == std::string_view("+") ? "plus" : "minus"] =
            SparseWordsJson(words, report.pool);
      });
      entry["directions"].push_back(std::move(row));
    }
    json["heads"].push_back(std::move(entry));
  }
  return json;
}

std::string WeightCsv(const WeightWords& report) {
  std::string csv = CsvRow({"head", "direction", "value", "share", "side", "sign", "cosine", "text",
                            "weight", "text_cosine"});
  for (const HeadWords& head : report.heads) {
    for (std::size_t k = 0; k < head.directions.size(); ++k) {
      const DirectionWords& direction = head.directions[k];
      ForWords(direction, [&](const char* side, const char* sign, const SparseWords& words) {
        for (const SparseWord& word : words.words) {
          csv += CsvRow({HeadName(head.id), fmt::format("{}", k + 1), CsvNumber(direction.value),
                         CsvNumber(direction.share), side,
                         sign == std::string_view("+") ? "plus" : "minus", CsvNumber(words.cosine),
                         At(report.pool.texts, word.index), CsvNumber(word.weight),
                         CsvNumber(word.cosine)});
        }
      });
    }
  }
  return csv;
}

}  // namespace cliplens
