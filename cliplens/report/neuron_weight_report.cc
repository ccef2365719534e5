#include "cliplens/report/neuron_weight_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "cliplens/report/canvas.h"
#include "cliplens/report/csv.h"
#include "cliplens/report/heat_map_report.h"
#include "cliplens/report/json.h"
#include "cliplens/report/neuron_report.h"
#include "cliplens/report/table.h"

namespace cliplens {
namespace {

// Heads that a layer feeds, strongest first.
std::vector<const HeadFeed*> ByStrength(const NeuronLayerWeights& layer) {
  std::vector<const HeadFeed*> order;
  order.reserve(layer.heads.size());
  for (const HeadFeed& feed : layer.heads) order.push_back(&feed);
  std::ranges::stable_sort(order, std::greater<>(), &HeadFeed::strength);
  return order;
}

}  // namespace

Json NeuronWeightsJson(const NeuronWeightsReport& report) {
  Json json = {{"format", "cliplens.neurons.weights/1"},
               {"model", ModelJson(report.model_name, report.fingerprint)},
               {"tower", report.text ? "text" : "image"},
               {"pool", PoolJson(report.pool)},
               {"normalize", NameOf(report.scale)},
               {"layers", Json::array()}};
  for (const NeuronLayerWeights& layer : report.layers) {
    Json entry = {{"layer", layer.layer},
                  {"neurons", layer.neurons},
                  {"pairs", Json::array()},
                  {"heads", Json::array()}};
    for (const PairWords& pair : layer.pairs) {
      entry["pairs"].push_back({{"neuron", NeuronName(pair.neuron)},
                                {"head", HeadName(pair.head)},
                                {"norm", pair.norm},
                                {"cosine", pair.cosine},
                                {"texts", NeuronWordListJson(pair.words, report.pool)}});
    }
    for (const HeadFeed& feed : layer.heads) {
      Json neurons = Json::array();
      for (const Index n : feed.neurons) {
        neurons.push_back(NeuronName({static_cast<int>(layer.layer), static_cast<int>(n)}));
      }
      entry["heads"].push_back({{"head", HeadName(feed.head)},
                                {"strength", feed.strength},
                                {"neurons", std::move(neurons)}});
    }
    json["layers"].push_back(std::move(entry));
  }
  return json;
}

std::string NeuronWeightsCsv(const NeuronWeightsReport& report) {
  std::string csv = CsvRow({"neuron", "head", "norm", "cosine", "rank", "text", "weight"});
  for (const NeuronLayerWeights& layer : report.layers) {
    for (const PairWords& pair : layer.pairs) {
      for (std::size_t k = 0; k < pair.words.size(); ++k) {
        csv += CsvRow({NeuronName(pair.neuron), HeadName(pair.head), CsvNumber(pair.norm),
                       CsvNumber(pair.cosine), std::to_string(k + 1),
                       At(report.pool.texts, pair.words[k].text), CsvNumber(pair.words[k].weight)});
      }
    }
  }
  return csv;
}

std::string NeuronWeightsTable(const NeuronWeightsReport& report) {
  constexpr std::size_t kHeads = 8;
  std::string out;
  for (const NeuronLayerWeights& layer : report.layers) {
    out +=
        fmt::format("{}neurons of layer {}{}: what they write through later heads\n\n",
                    out.empty() ? "" : "\n", layer.layer, report.text ? " of the text tower" : "");
    Table pairs(
        {{"neuron"}, {"head"}, {"norm", Align::kRight}, {"cosine", Align::kRight}, {"texts"}});
    for (const PairWords& pair : layer.pairs) {
      pairs.AddRow({NeuronName(pair.neuron), HeadName(pair.head), FormatNumber(pair.norm, 3),
                    FormatNumber(pair.cosine, 2), NeuronWordsText(pair.words, report.pool)});
    }
    out += pairs.Render() + "\n";
    std::vector<const HeadFeed*> order = ByStrength(layer);
    if (order.size() > kHeads) {
      out +=
          fmt::format("the {} of {} later heads that the layer feeds most\n", kHeads, order.size());
      order.resize(kHeads);
    }
    Table heads({{"head"}, {"strength", Align::kRight}, {"strongest neurons"}});
    for (const HeadFeed* feed : order) {
      std::string neurons;
      for (const Index n : feed->neurons) {
        neurons += (neurons.empty() ? "" : ", ") +
                   NeuronName({static_cast<int>(layer.layer), static_cast<int>(n)});
      }
      heads.AddRow({HeadName(feed->head), FormatNumber(feed->strength, 3), neurons});
    }
    out += heads.Render();
  }
  return out;
}

Image NeuronFeedSheet(const NeuronWeightsReport& report) {
  constexpr Index kMargin = 28;
  constexpr Index kHeader = 110;
  constexpr Index kLeft = 96;
  constexpr Index kRow = 22;
  constexpr Index kGap = 18;     // between layers of heads
  constexpr Index kNumber = 16;  // that a head's number takes
  constexpr Index kFooter = 56;
  Index layers = 0;
  Index heads = 0;
  double most = 0;
  for (const NeuronLayerWeights& layer : report.layers) {
    for (const HeadFeed& feed : layer.heads) {
      layers = std::max<Index>(layers, feed.head.layer + 1);
      heads = std::max<Index>(heads, feed.head.head + 1);
      most = std::max(most, feed.strength);
    }
  }
  const Index first = report.layers.empty() ? 0 : report.layers.front().layer + 1;
  const Index cell = std::clamp<Index>(900 / std::max<Index>(1, (layers - first) * heads), 6, 22);
  const Index width = cell * heads;
  // Every so many heads have their number above them: as many as there is room for.
  Index numbered = 1;
  while (numbered * cell < kNumber) numbered *= 2;
  Canvas canvas(std::max<Index>(kMargin + kLeft + (layers - first) * (width + kGap) + kMargin, 660),
                kHeader + std::ssize(report.layers) * kRow + kFooter);
  canvas.Text({.x = kMargin, .y = 32, .size = 18}, "Which later heads a layer's neurons feed");
  canvas.Text({.x = kMargin, .y = 52, .size = 12, .color = kMuted},
              fmt::format("model {}{}  \u00b7  root of the mean square of what a neuron writes "
                          "through a head",
                          report.model_name, report.text ? ", text tower" : ""));
  for (Index l = first; l < layers; ++l) {
    const Index x = kMargin + kLeft + (l - first) * (width + kGap);
    canvas.Text({.x = x, .y = kHeader - 26, .size = 12, .color = kMuted},
                fmt::format("heads of L{}", l), width + kGap);
    for (Index h = 0; h < heads; h += numbered) {
      canvas.Text({.x = x + h * cell + cell / 2,
                   .y = kHeader - 7,
                   .size = 10,
                   .color = kMuted,
                   .align = TextAlign::kMiddle},
                  fmt::format("{}", h));
    }
  }
  for (Index r = 0; r < std::ssize(report.layers); ++r) {
    const NeuronLayerWeights& layer = At(report.layers, r);
    const Index y = kHeader + r * kRow;
    canvas.Text({.x = kMargin, .y = y + 15, .size = 12}, fmt::format("L{} neurons", layer.layer));
    for (const HeadFeed& feed : layer.heads) {
      const Index x =
          kMargin + kLeft + (feed.head.layer - first) * (width + kGap) + feed.head.head * cell;
      canvas.Fill(x, y, cell - 1, kRow - 2,
                  Mix(Color{240, 240, 236}, kForColor, most > 0 ? feed.strength / most : 0));
    }
  }
  const Index legend = kHeader + std::ssize(report.layers) * kRow + 16;
  constexpr Index kBar = 200;
  for (Index i = 0; i < kBar; ++i) {
    canvas.Fill(kMargin + i, legend, 1, 12,
                Mix(Color{240, 240, 236}, kForColor, static_cast<double>(i) / kBar));
  }
  canvas.Text({.x = kMargin, .y = legend + 28, .size = 12, .color = kMuted}, "0");
  canvas.Text({.x = kMargin + kBar,
               .y = legend + 28,
               .size = 12,
               .color = kMuted,
               .align = TextAlign::kRight},
              FormatNumber(most, 3));
  return canvas.image();
}

}  // namespace cliplens
