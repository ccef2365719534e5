#include "cliplens/report/neuron_report.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "cliplens/io/npz.h"
#include "cliplens/io/printable.h"
#include "cliplens/report/ablation_report.h"
#include "cliplens/report/csv.h"
#include "cliplens/report/json.h"
#include "cliplens/report/table.h"

namespace cliplens {
namespace {

const char* NameOf(NeuronPictures pictures) {
  return pictures == NeuronPictures::kTop ? "top" : "all";
}

const char* NameOf(PursuitEnd end) {
  switch (end) {
    case PursuitEnd::kExact:
      return "exact";
    case PursuitEnd::kNoText:
      return "no_text";
    case PursuitEnd::kCount:
      break;
  }
  return "count";
}

Estimate InPercent(const Estimate& e) { return {100 * e.value, 100 * e.low, 100 * e.high}; }

// Neurons by variance, largest first.
std::vector<const NeuronWords*> ByVariance(const NeuronWordsReport& report) {
  std::vector<const NeuronWords*> order;
  order.reserve(report.neurons.size());
  for (const NeuronWords& neuron : report.neurons) order.push_back(&neuron);
  std::ranges::stable_sort(order, std::greater<>(), &NeuronWords::variance);
  return order;
}

// What directions were made of.
std::string DirectionsText(const StoreInfo& store) {
  return fmt::format("{} {} of {}; directions from the {} of largest effect\n", store.images,
                     store.neurons->text ? "texts" : "pictures", store.model_name,
                     std::min(store.neurons->top, store.images));
}

std::string EndsText(const NeuronWordsReport& report) {
  Index ended = 0;
  for (const NeuronWords& neuron : report.neurons) {
    if (neuron.end != PursuitEnd::kCount && neuron.variance > 0) ++ended;
  }
  if (ended == 0) return "";
  return fmt::format(
      "{} of {} neurons have fewer than {} texts: no other text of the pool adds to theirs "
      "(doubled "
      "texts add nothing)\n",
      ended, report.neurons.size(), report.choice.count);
}

// Sums of nearly as many texts as the embedding has numbers fit any direction, by texts that cancel
// each other.
std::string ManyTextsText(Index count, Index width) {
  if (4 * count < 3 * width) return "";
  return fmt::format(
      "\n{} texts are nearly as many as an embedding has numbers, {}: such sums fit anything, with "
      "large weights that cancel each other; {} or fewer say more\n",
      count, width, width / 4);
}

}  // namespace

std::string NeuronWordsText(const std::vector<NeuronWord>& words, const TextPool& pool) {
  std::string text;
  for (const NeuronWord& word : words) {
    text += fmt::format("{}{} {:+.2f}", text.empty() ? "" : ", ", At(pool.texts, word.text),
                        word.weight);
  }
  return text.empty() ? "no effect to describe" : text;
}

Json NeuronWordListJson(const std::vector<NeuronWord>& words, const TextPool& pool) {
  Json texts = Json::array();
  for (const NeuronWord& word : words) {
    texts.push_back(
        {{"text", At(pool.texts, word.text)}, {"index", word.text}, {"weight", word.weight}});
  }
  return texts;
}

Json CollectJson(const ClipModel& model, const CollectOptions& options, const CollectResult& result,
                 const LeftOut& left_out, double seconds) {
  Json json = {{"format", "cliplens.neurons.collect/1"},
               {"model", model.name()},
               {"fingerprint", model.fingerprint()},
               {"precision", NameOf(model.precision())},
               {"images", result.pictures},
               {"shards", result.shards},
               {"layers", {options.layers.begin, options.layers.end - 1}},
               {"top", result.top},
               {"resumed_shards", result.resumed_ranges},
               {"complete_already", result.complete_already},
               {"seconds", seconds},
               {"out", options.out.string()}};
  PutLosses(json, result.oriented, result.skipped, result.incomplete, left_out);
  return json;
}

Json NeuronWordsJson(const NeuronWordsReport& report) {
  Json json = {{"format", "cliplens.neurons.words/1"},
               {"model", ModelJson(report.store)},
               {"data", DataJson(report.store)},
               {"images", report.store.images},
               {"top", std::min(report.store.neurons->top, report.store.images)},
               {"pool", PoolJson(report.pool)},
               {"directions", NameOf(report.choice.pictures)},
               {"normalize", NameOf(report.choice.scale)},
               {"count", report.choice.count},
               {"embedding_variance", report.embedding_variance},
               {"neurons", Json::array()}};
  for (const NeuronWords& neuron : report.neurons) {
    json["neurons"].push_back({{"neuron", NeuronName(neuron.id)},
                               {"variance", neuron.variance},
                               {"top_explained", neuron.top_explained},
                               {"all_explained", neuron.all_explained},
                               {"threshold", neuron.threshold},
                               {"cosine", neuron.cosine},
                               {"end", NameOf(neuron.end)},
                               {"texts", NeuronWordListJson(neuron.words, report.pool)}});
  }
  return json;
}

std::string NeuronWordsCsv(const NeuronWordsReport& report) {
  std::string csv = CsvRow({"neuron", "variance", "top_explained", "all_explained", "threshold",
                            "cosine", "rank", "text", "weight"});
  for (const NeuronWords& neuron : report.neurons) {
    for (std::size_t k = 0; k < neuron.words.size(); ++k) {
      csv +=
          CsvRow({NeuronName(neuron.id), CsvNumber(neuron.variance),
                  CsvNumber(neuron.top_explained), CsvNumber(neuron.all_explained),
                  CsvNumber(neuron.threshold), CsvNumber(neuron.cosine), std::to_string(k + 1),
                  At(report.pool.texts, neuron.words[k].text), CsvNumber(neuron.words[k].weight)});
    }
  }
  return csv;
}

std::string NeuronWordsTable(const NeuronWordsReport& report, Index most) {
  std::vector<const NeuronWords*> order = ByVariance(report);
  std::string out = DirectionsText(report.store);
  if (std::ssize(order) > most) {
    out += fmt::format("{} of {} neurons, those of largest variance\n", most, order.size());
    order.resize(ToSize(most));
  }
  out += EndsText(report) + "\n";
  Table table({{"neuron"},
               {"share of variance", Align::kRight},
               {"one direction", Align::kRight},
               {"cosine", Align::kRight},
               {"texts"}});
  for (const NeuronWords* neuron : order) {
    const bool top = report.choice.pictures == NeuronPictures::kTop;
    table.AddRow({NeuronName(neuron->id), FormatPercent(report.ShareOf(*neuron), 3),
                  FormatPercent(top ? neuron->top_explained : neuron->all_explained),
                  FormatNumber(neuron->cosine, 2), NeuronWordsText(neuron->words, report.pool)});
  }
  return out + table.Render() + ManyTextsText(report.choice.count, report.directions.dim(1));
}

std::vector<std::uint8_t> NeuronWordsNpz(const NeuronWordsReport& report) {
  std::vector<std::int64_t> layers;
  std::vector<std::int64_t> numbers;
  std::vector<double> variance;
  std::vector<std::int64_t> starts = {0};
  std::vector<std::int64_t> texts;
  std::vector<double> weights;
  for (const NeuronWords& neuron : report.neurons) {
    layers.push_back(neuron.id.layer);
    numbers.push_back(neuron.id.neuron);
    variance.push_back(neuron.variance);
    std::vector<NeuronWord> words = neuron.words;
    std::ranges::sort(words, {}, &NeuronWord::text);
    for (const NeuronWord& word : words) {
      texts.push_back(word.text);
      weights.push_back(word.weight);
    }
    starts.push_back(std::ssize(texts));
  }
  const Index count = std::ssize(report.neurons);
  const std::vector<std::int64_t> shape = {count, std::ssize(report.pool.texts)};
  const std::string format = "csr";
  const auto bytes = [](const auto& values) { return AsBytes(std::span(values)); };
  const std::vector<NpzArray> arrays = {
      {"format", "|S3", {}, bytes(format)},
      {"shape", "<i8", {2}, bytes(shape)},
      {"indptr", "<i8", {count + 1}, bytes(starts)},
      {"indices", "<i8", {std::ssize(texts)}, bytes(texts)},
      {"data", "<f8", {std::ssize(weights)}, bytes(weights)},
      {"layer", "<i8", {count}, bytes(layers)},
      {"neuron", "<i8", {count}, bytes(numbers)},
      {"variance", "<f8", {count}, bytes(variance)},
      {"directions", "<f4", {count, report.directions.dim(1)}, AsBytes(report.directions.flat())}};
  return NpzBytes(arrays);
}

Json NeuronAblationJson(const NeuronAblationReport& report) {
  const Index images = report.layers.empty() ? 0 : report.layers.front().images;
  Json json = SettingJson("cliplens.neurons.ablate/1", report.setting, images);
  json["top"] = report.top;
  json["layers"] = Json::array();
  for (const NeuronAblation& layer : report.layers) {
    Json entry = {{"layer", layer.layer},
                  {"significant", EstimateJson(layer.significant)},
                  {"rows", Json::array()}};
    for (const AblationRow& row : layer.rows) entry["rows"].push_back(RowJson(row));
    json["layers"].push_back(std::move(entry));
  }
  return json;
}

std::string NeuronAblationCsv(const NeuronAblationReport& report) {
  std::string csv = CsvRow({"layer", "row", "accuracy", "accuracy_low", "accuracy_high", "score",
                            "score_low", "score_high"});
  for (const NeuronAblation& layer : report.layers) {
    for (const AblationRow& row : layer.rows) {
      csv +=
          CsvRow({std::to_string(layer.layer), row.name, CsvNumber(row.accuracy.value),
                  CsvNumber(row.accuracy.low), CsvNumber(row.accuracy.high),
                  CsvNumber(row.score.value), CsvNumber(row.score.low), CsvNumber(row.score.high)});
    }
  }
  return csv;
}

std::string NeuronAblationTable(const NeuronAblationReport& report) {
  if (report.layers.empty()) return "";
  std::string out = SettingText(report.setting, report.layers.front().images);
  out += fmt::format("directions from the {} pictures of largest effect\n\n", report.top);
  Table table({{"layer", Align::kRight},
               {"as it is, %", Align::kRight},
               {"all neurons replaced", Align::kRight},
               {"significant replaced", Align::kRight},
               {"the others replaced", Align::kRight},
               {"one direction each", Align::kRight},
               {"significant", Align::kRight}});
  for (const NeuronAblation& layer : report.layers) {
    std::vector<std::string> cells = {std::to_string(layer.layer)};
    for (const AblationRow& row : layer.rows) cells.push_back(FormatEstimate(row.accuracy, 100, 1));
    cells.push_back(FormatPercent(layer.significant.value, 2));
    table.AddRow(cells);
  }
  return out + table.Render();
}

Curve NeuronAblationCurve(const NeuronAblationReport& report) {
  const std::vector<const char*> names = {"all neurons", "significant", "the others",
                                          "one direction"};
  Curve curve{.title = "Accuracy when effects of a layer's neurons are replaced by their means",
              .x_title = "layer",
              .y_title = "accuracy, %",
              .series = {}};
  if (report.layers.empty()) return curve;
  curve.first_x = report.layers.front().layer;
  for (std::size_t i = 0; i < names.size(); ++i) {
    CurveSeries series{names[i], {}};
    for (const NeuronAblation& layer : report.layers) {
      series.points.push_back(InPercent(layer.rows[i + 1].accuracy));
    }
    curve.series.push_back(std::move(series));
  }
  curve.lines = {{"as it is", 100 * report.layers.front().rows[0].accuracy.value}};
  return curve;
}

Json NeuronReconstructionJson(const std::vector<NeuronReconstructionReport>& reports) {
  Json json;
  for (const NeuronReconstructionReport& report : reports) {
    if (json.is_null()) {
      json = SettingJson("cliplens.neurons.reconstruct/1", report.setting, report.images);
      json["normalize"] = NameOf(report.scale);
      json["unit"] = report.unit;
      json["layers"] = Json::array();
    }
    Json layer = {{"layer", report.layer},
                  {"base", RowJson(report.base)},
                  {"nothing", RowJson(report.nothing)},
                  {"direction", RowJson(report.direction)},
                  {"pools", Json::array()}};
    for (const NeuronPoolReconstruction& pool : report.pools) {
      Json entry = {{"pool", PoolJson(pool.pool, pool.texts, pool.blank)}, {"rows", Json::array()}};
      for (std::size_t c = 0; c < report.counts.size(); ++c) {
        Json row = RowJson(pool.rows[c]);
        row["count"] = report.counts[c];
        entry["rows"].push_back(std::move(row));
      }
      layer["pools"].push_back(std::move(entry));
    }
    json["layers"].push_back(std::move(layer));
  }
  return json;
}

std::string NeuronReconstructionCsv(const std::vector<NeuronReconstructionReport>& reports) {
  std::string csv = CsvRow({"layer", "pool", "count", "accuracy", "accuracy_low", "accuracy_high"});
  for (const NeuronReconstructionReport& report : reports) {
    const auto line = [&](const std::string& pool, const std::string& count,
                          const AblationRow& row) {
      csv += CsvRow({std::to_string(report.layer), pool, count, CsvNumber(row.accuracy.value),
                     CsvNumber(row.accuracy.low), CsvNumber(row.accuracy.high)});
    };
    line("", "base", report.base);
    line("", "0", report.nothing);
    for (const NeuronPoolReconstruction& pool : report.pools) {
      for (std::size_t c = 0; c < report.counts.size(); ++c) {
        line(pool.pool, std::to_string(report.counts[c]), pool.rows[c]);
      }
    }
    line("", "direction", report.direction);
  }
  return csv;
}

std::vector<Curve> NeuronReconstructionCurves(
    const std::vector<NeuronReconstructionReport>& reports) {
  std::vector<Curve> curves;
  curves.reserve(reports.size());
  for (const NeuronReconstructionReport& report : reports) {
    Curve curve{.title = fmt::format("Accuracy when neurons of layer {} keep a few texts each",
                                     report.layer),
                .x_title = "texts a neuron",
                .y_title = "accuracy, %",
                .series = {},
                .counts = report.counts,
                .lines = {{"effects replaced", 100 * report.nothing.accuracy.value},
                          {"the direction itself", 100 * report.direction.accuracy.value},
                          {"as it is", 100 * report.base.accuracy.value}}};
    for (const NeuronPoolReconstruction& pool : report.pools) {
      CurveSeries& series = curve.series.emplace_back(CurveSeries{Printable(pool.pool, 32), {}});
      for (const AblationRow& row : pool.rows) series.points.push_back(InPercent(row.accuracy));
    }
    curves.push_back(std::move(curve));
  }
  return curves;
}

std::string NeuronReconstructionTable(const std::vector<NeuronReconstructionReport>& reports) {
  if (reports.empty()) return "";
  std::string out = SettingText(reports.front().setting, reports.front().images) + "\n";
  Table table({{"layer", Align::kRight},
               {"pool"},
               {"texts a neuron", Align::kRight},
               {"accuracy, %", Align::kRight}});
  for (const NeuronReconstructionReport& report : reports) {
    const auto add = [&](const std::string& pool, const std::string& count,
                         const AblationRow& row) {
      table.AddRow(
          {std::to_string(report.layer), pool, count, FormatEstimate(row.accuracy, 100, 1)});
    };
    add("", "effects replaced", report.nothing);
    for (const NeuronPoolReconstruction& pool : report.pools) {
      for (std::size_t c = 0; c < report.counts.size(); ++c) {
        add(pool.pool, std::to_string(report.counts[c]), pool.rows[c]);
      }
    }
    add("", "the direction itself", report.direction);
    add("", "as it is", report.base);
  }
  return out + table.Render();
}

}  // namespace cliplens
