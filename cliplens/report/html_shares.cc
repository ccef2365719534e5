#include "cliplens/report/html_shares.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "cliplens/report/markup.h"

namespace cliplens {
namespace {

using html::Percent;
using html::Put;

// Steps of the colour scale on each side of zero; colours.css has a class for each (p1 … n10).
constexpr int kScaleSteps = 10;

std::string PercentWithSpread(const ComponentShare& share) {
  return fmt::format("{} \u00b1 {}\u2009%", FormatFixed(100 * share.share, 1),
                     FormatFixed(100 * share.spread, 1));
}

class ShareMap {
 public:
  ShareMap(const std::vector<ComponentShare>& shares, const std::set<HeadId>& listed)
      : shares_(shares), listed_(listed) {
    for (const ComponentShare& share : shares) {
      if (share.head >= 0) {
        share_of_[share.head_id()] = &share;
        heads_total_ += share.share;
      } else if (&share == ShareOfPoolMlp(shares)) {
        pool_share_ = &share;
      } else if (share.layer >= 0) {
        mlp_of_[share.layer] = &share;
        mlps_total_ += share.share;
      } else {
        input_share_ = &share;
      }
      largest_ = std::max(largest_, std::abs(share.share));
      smallest_ = std::min(smallest_, share.share);
    }
  }

  std::string Render(const Components& terms) {
    const Index layers = terms.layers();
    const Index heads = terms.heads_a_layer();
    blocks_ = terms.level() == Level::kBlocks;
    const double input_share = input_share_ ? input_share_->share : 0;
    const double pool_share = pool_share_ ? pool_share_->share : 0;
    Put(out_,
        "<section id=\"shares\" aria-labelledby=\"shares-h\">\n"
        "<h2 id=\"shares-h\">Where the variance comes from</h2>\n"
        "<p>How much of the embedding\u2019s variance over the pictures each component brings, in "
        "per cent; all shares add up to {}.{}{}</p>\n",
        Percent(heads_total_ + mlps_total_ + input_share + pool_share), HalfSentence(),
        smallest_ < 0
            ? " A negative share marks a component that moves against the sum of the others."
            : "");
    if (pool_share_) {
      Put(out_,
          "<p>POOL.MLP, the MLP behind the model\u2019s pool, brings {} of it. It is a function of "
          "all the others together, so what it brings is not split over {}.</p>\n",
          Percent(pool_share), blocks_ ? "heads and layers" : "heads");
    }
    PutStack(input_share);
    Put(out_,
        "<p class=\"muted\" id=\"map-note\">Share of the variance, per cent.{}{}</p>\n"
        "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-labelledby=\"shares-h\">\n"
        "<table class=\"map{}\" aria-labelledby=\"map-note\">\n<thead><tr><th scope=\"col\"><span "
        "class=\"hide\">Layer</span></th>",
        blocks_ ? " The picture enters at the bottom; the last layer is on top." : "",
        listed_.empty() ? "" : " A head\u2019s cell leads to its texts.", heads > 8 ? " wide" : "");
    for (Index h = 0; h < heads; ++h) Put(out_, "<th scope=\"col\">H{}</th>", h);
    out_ +=
        "<th scope=\"col\" class=\"apart\">MLP</th><th scope=\"col\" class=\"sum\">all "
        "heads</th></tr></thead>\n<tbody>\n";
    const auto put_alone = [&](const char* name, const ComponentShare* share) {
      Put(out_, "<tr><th scope=\"row\">{}</th><td colspan=\"{}\" class=\"void\"></td>", name,
          heads);
      PutCell(share, false);
      out_ += "<td class=\"void\"></td></tr>\n";
    };
    if (pool_share_) put_alone("POOL.MLP", pool_share_);
    for (Index l = layers - 1; l >= 0; --l) {
      const int layer = static_cast<int>(l);
      Put(out_, "<tr><th scope=\"row\">{}</th>",
          NameOf({layer, ComponentId::Kind::kLayer, 0, terms.level()}));
      double sum = 0;
      for (Index h = 0; h < heads; ++h) {
        const HeadId id = terms.HeadAt(l * heads + h);
        const ComponentShare* share = Find(share_of_, id);
        PutCell(share, listed_.contains(id));
        if (share) sum += share->share;
      }
      PutCell(Find(mlp_of_, layer), false);
      Put(out_, "<td class=\"sum\">{}</td></tr>\n", FormatFixed(100 * sum, 1));
    }
    if (blocks_) put_alone("INPUT", input_share_);
    out_ += "</tbody></table>\n</div>\n";
    PutLegend();
    out_ += "</section>\n";
    return std::move(out_);
  }

 private:
  // Step on the colour scale, 1 … kScaleSteps: the square root spreads the many small shares.
  int ScaleStep(double share) const {
    const double step = std::ceil(kScaleSteps * std::sqrt(std::abs(share) / largest_));
    return std::clamp(static_cast<int>(step), 1, kScaleSteps);
  }

  std::string ScaleClass(double share) const {
    if (share == 0) return "z";
    return fmt::format("{}{}", share > 0 ? 'p' : 'n', ScaleStep(share));
  }

  void PutCell(const ComponentShare* share, bool listed) {
    if (share == nullptr) {
      out_ += "<td></td>";
      return;
    }
    const std::string name = EscapeHtml(share->component);
    const std::string value = FormatFixed(100 * share->share, 1);
    if (listed) {
      Put(out_, "<td class=\"{0}\"><a href=\"#{1}\" title=\"{1}: {2}\">{3}</a></td>",
          ScaleClass(share->share), name, PercentWithSpread(*share), value);
    } else {
      Put(out_, "<td class=\"{}\"><span title=\"{}: {}\">{}</span></td>", ScaleClass(share->share),
          name, PercentWithSpread(*share), value);
    }
  }

  template <typename Map, typename Key>
  static const ComponentShare* Find(const Map& map, const Key& key) {
    const auto found = map.find(key);
    return found == map.end() ? nullptr : found->second;
  }

  // How concentrated the variance is.
  std::string HalfSentence() const {
    std::vector<double> sorted;
    double total = 0;
    for (const ComponentShare& share : shares_) {
      sorted.push_back(share.share);
      total += share.share;
    }
    std::sort(sorted.rbegin(), sorted.rend());
    double sum = 0;
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      sum += sorted[i];
      if (sum >= total / 2 && total > 0) {
        return i == 0 ? fmt::format(" The largest of the {} components brings half of it alone.",
                                    sorted.size())
                      : fmt::format(" The {} largest of {} components bring half of it.", i + 1,
                                    sorted.size());
      }
    }
    return "";
  }

  // Attention heads, MLPs and input as parts of one bar; negative parts lie left of zero.
  void PutStack(double input_share) {
    std::vector<std::pair<const char*, double>> parts = {
        {blocks_ ? "Attention heads" : "Heads of the pool", heads_total_},
        {"MLPs", mlps_total_},
        {"Input", input_share}};
    if (!blocks_) parts.resize(1);
    if (pool_share_) parts.emplace_back("POOL.MLP", pool_share_->share);
    double low = 0, high = 0;
    for (const auto& [name, share] : parts) (share < 0 ? low : high) += share;
    const double width = high - low;
    out_ += "<div class=\"stack\">\n";
    if (width > 0) {
      out_ += "<svg viewBox=\"0 0 100 1\" preserveAspectRatio=\"none\" aria-hidden=\"true\">";
      double left = 0, right = 0;
      for (std::size_t i = 0; i < parts.size(); ++i) {
        const double share = parts[i].second;
        double& edge = share < 0 ? left : right;
        const double from = share < 0 ? edge + share : edge;
        edge += share;
        Put(out_, "<path class=\"part{}\" d=\"M{:.3f} 0h{:.3f}v1H{:.3f}z\"/>", i,
            100 * (from - low) / width, 100 * std::abs(share) / width, 100 * (from - low) / width);
      }
      if (low < 0) {
        Put(out_, "<path class=\"zero\" d=\"M{:.3f} 0v1\"/>", -100 * low / width);
      }
      out_ += "</svg>\n";
    }
    out_ += "<dl>";
    for (std::size_t i = 0; i < parts.size(); ++i) {
      Put(out_, "<div><dt class=\"part{}\">{}</dt><dd>{}</dd></div>", i, parts[i].first,
          Percent(parts[i].second));
    }
    out_ += "</dl></div>\n";
  }

  void PutLegend() {
    const auto edge = [&](int step) {
      return largest_ * (step * step) / double{kScaleSteps * kScaleSteps};
    };
    out_ += "<p class=\"legend\"><span>";
    // On the side of negative shares no further than the page has them.
    const int lowest = smallest_ < 0 ? ScaleStep(smallest_) : 0;
    if (lowest > 0) Put(out_, "{} ", Percent(-edge(lowest)));
    for (int step = lowest; step > 0; --step) {
      Put(out_, "<i class=\"n{}\" title=\"down to {}\"></i>", step, Percent(-edge(step)));
    }
    out_ += lowest > 0 ? " 0 " : "0 ";
    for (int step = 1; step <= kScaleSteps; ++step) {
      Put(out_, "<i class=\"p{}\" title=\"up to {}\"></i>", step, Percent(edge(step)));
    }
    Put(out_,
        " {}</span> <span class=\"muted\">The middle of the scale is {}: colours follow the square "
        "root of the share.</span></p>\n",
        Percent(largest_), Percent(edge(kScaleSteps / 2)));
  }

  const std::vector<ComponentShare>& shares_;
  const std::set<HeadId>& listed_;
  bool blocks_ = true;  // of the level of the blocks
  std::string out_;
  std::map<HeadId, const ComponentShare*> share_of_;
  std::map<int, const ComponentShare*> mlp_of_;
  const ComponentShare *input_share_ = nullptr, *pool_share_ = nullptr;
  double heads_total_ = 0, mlps_total_ = 0, largest_ = 0, smallest_ = 0;
};

}  // namespace

std::string SharesSection(const std::vector<ComponentShare>& shares, const Components& terms,
                          const std::set<HeadId>& listed) {
  return ShareMap(shares, listed).Render(terms);
}

}  // namespace cliplens
