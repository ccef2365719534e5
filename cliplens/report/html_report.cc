#include "cliplens/report/html_report.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/base/version.h"
#include "cliplens/report/assets.h"
#include "cliplens/report/html_sections.h"
#include "cliplens/report/markup.h"

namespace cliplens {
namespace {

using html::Name;
using html::Percent;
using html::Put;

// Steps of the colour scale on each side of zero; report.css has a class for each (p1 … n10).
constexpr int kScaleSteps = 10;
// Above this the certificate no longer says "the same embedding".
constexpr double kExactCertificate = 1e-3;
// Beside the title: heads, and pictures of each.
constexpr std::size_t kShownHeads = 3;
constexpr std::size_t kShownPictures = 5;
// In the table of all heads: pictures and texts of each.
constexpr std::size_t kGlancePictures = 3;
constexpr std::size_t kGlanceTexts = 3;

std::string PercentWithSpread(const ComponentShare& share) {
  return fmt::format("{} \u00b1 {}\u2009%", FormatFixed(100 * share.share, 1),
                     FormatFixed(100 * share.spread, 1));
}

// What content security policies name a script or style by.
std::string HashSource(std::string_view hexadecimal) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i + 1 < hexadecimal.size(); i += 2) {
    bytes.push_back(
        static_cast<std::uint8_t>(std::stoi(std::string(hexadecimal.substr(i, 2)), nullptr, 16)));
  }
  return "'sha256-" + EncodeBase64(bytes) + "'";
}

class Page {
 public:
  explicit Page(const ReportInput& input) : input_(input) {
    for (const ComponentShare& share : input.shares) {
      if (share.head >= 0) {
        share_of_[{share.layer, share.head}] = &share;
        heads_total_ += share.share;
      } else if (share.layer >= 0) {
        mlp_of_[share.layer] = &share;
        mlps_total_ += share.share;
      } else {
        input_share_ = &share;
      }
      largest_ = std::max(largest_, std::abs(share.share));
      smallest_ = std::min(smallest_, share.share);
    }
    for (const ReportHead& head : input.heads) {
      const auto found = share_of_.find(head.id);
      if (found == share_of_.end()) {
        throw Error(ErrorCode::kInvalidArgument, "report: head {} has no share", HeadName(head.id));
      }
      ranked_.push_back(&head);
      listed_[head.id] = true;
    }
    std::sort(ranked_.begin(), ranked_.end(), [&](const ReportHead* a, const ReportHead* b) {
      const double x = share_of_.at(a->id)->share, y = share_of_.at(b->id)->share;
      return x != y ? x > y : a->id < b->id;
    });
    for (const Thumbnail& thumbnail : input.thumbnails.thumbnails) {
      thumbnail_of_[thumbnail.item] = &thumbnail;
    }
  }

  std::string Render() {
    PutHead();
    PutTitle();
    out_ += "<main>\n";
    PutCertificate();
    PutShares();
    PutExtras();
    PutGlance();
    PutHeads();
    PutMethod();
    out_ += "</main>\n";
    PutThumbnails();
    Put(out_, "<script>{}</script>\n</body>\n</html>\n", assets::kReportJs);
    return std::move(out_);
  }

 private:
  void PutHead() {
    Put(out_,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
        "style-src {}; script-src {}; base-uri 'none'; form-action 'none'\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n"
        "<meta name=\"referrer\" content=\"no-referrer\">\n"
        "<meta name=\"generator\" content=\"cliplens {}\">\n"
        "<link rel=\"icon\" href=\"data:,\">\n"
        "<title>{}: what its attention heads see</title>\n<style>{}</style>\n</head>\n<body>\n",
        HashSource(assets::kReportCssSha256), HashSource(assets::kReportJsSha256), kVersion,
        EscapeHtml(input_.store.model_name), assets::kReportCss);
  }

  void PutFact(std::string_view term, const std::string& description) {
    Put(out_, "<div><dt>{}</dt><dd>{}</dd></div>\n", term, description);
  }

  // How many pictures, of what kind, from where.
  std::string Pictures() const {
    const StoreInfo& store = input_.store;
    std::string text = FormatCount(store.images);
    for (const DataSource& source : store.data) {
      Put(text, "<br>{}{} <code>{}</code>",
          store.data.size() > 1 ? FormatCount(source.images) + " from " : "",
          EscapeHtml(source.kind), Name(source.root));
    }
    return text;
  }

  void PutTitle() {
    const StoreInfo& store = input_.store;
    const ModelConfig& model = input_.model;
    const Index heads = model.vision.layers * model.vision.heads;
    Put(out_,
        "<header class=\"top\">\n<div class=\"opening\">\n<div>\n"
        "<p class=\"eyebrow\">cliplens report</p>\n<h1>{}</h1>\n"
        "<p class=\"deck\">What {}, {} and the input write into the image embedding, measured on "
        "{} "
        "and put into words with {}.</p>\n",
        Name(store.model_name), Counted(heads, "attention head"),
        Counted(model.vision.layers, "MLP"), Counted(store.images, "picture"),
        Counted(static_cast<Index>(input_.pool.texts.size()), "text"));
    out_ += "</div>\n";
    PutLargestHeads();
    out_ += "</div>\n<dl class=\"facts\">\n";
    PutFact(
        "Architecture",
        fmt::format("ViT, {} layers \u00d7 {} heads, patch {}, image {} \u00d7 {}, E = {}",
                    model.vision.layers, model.vision.heads, model.patch_size,
                    model.preprocess.image_size, model.preprocess.image_size, model.embed_width));
    PutFact("Fingerprint", "<code>" + EscapeHtml(store.fingerprint) + "</code>");
    PutFact("Precision", fmt::format("{}{}", EscapeHtml(store.precision),
                                     store.stats_only                ? ", statistics only"
                                     : store.type == StoreType::kF16 ? ", stored as fp16"
                                                                     : ""));
    PutFact("Pictures", Pictures());
    PutFact("Text pool",
            fmt::format("{}, {}", Name(input_.pool.name),
                        Counted(static_cast<Index>(input_.pool.texts.size()), "text")));
    PutFact("Made with", fmt::format("cliplens {}", kVersion));
    out_ +=
        "</dl>\n"
        "<nav aria-label=\"Contents\"><a href=\"#certificate\">Certificate</a>"
        "<a href=\"#shares\">Shares</a>";
    if (input_.extras.labels) out_ += "<a href=\"#labels\">Labels</a>";
    if (!input_.neighbours.empty()) out_ += "<a href=\"#alike\">Alike</a>";
    if (input_.extras.ablation) out_ += "<a href=\"#ablation\">Ablation</a>";
    if (input_.extras.groups) out_ += "<a href=\"#groups\">Groups</a>";
    if (input_.extras.scores) out_ += "<a href=\"#scores\">One score</a>";
    out_ +=
        "<a href=\"#glance\">All heads</a>"
        "<a href=\"#heads\">Head by head</a><a href=\"#method\">How to read</a></nav>\n"
        "</header>\n";
  }

  // The heads with the largest shares, each by its first text and the pictures highest along it.
  void PutLargestHeads() {
    if (thumbnail_of_.empty()) return;
    out_ += "<div class=\"largest\">\n";
    for (std::size_t h = 0; h < std::min(kShownHeads, ranked_.size()); ++h) {
      const ReportHead& head = *ranked_[h];
      if (head.span.texts.empty() || head.extremes.empty()) continue;
      out_ += "<figure><div class=\"strip\">";
      const std::vector<ScoredItem>& highest = head.extremes.front().highest;
      for (std::size_t k = 0; k < std::min(kShownPictures, highest.size()); ++k) {
        PutPicture(highest[k]);
      }
      Put(out_, "</div><figcaption><a href=\"#{0}\">{0}</a> {1} <q>{2}</q></figcaption></figure>\n",
          HeadName(head.id), Percent(share_of_.at(head.id)->share),
          Name(TextOf(head.span.texts.front())));
    }
    out_ += "</div>\n";
  }

  void PutCertificate() {
    const CertificateSummary& certificate = input_.store.certificate;
    Put(out_,
        "<section id=\"certificate\" class=\"certificate\" aria-labelledby=\"certificate-h\">\n"
        "<h2 id=\"certificate-h\">Does the sum come out?</h2>\n"
        "<dl class=\"figures\"><div><dt>largest error</dt><dd>{}</dd></div>"
        "<div><dt>mean error</dt><dd>{}</dd></div></dl>\n<p>",
        FormatScientific(certificate.max), FormatScientific(certificate.mean));
    if (certificate.max <= kExactCertificate) {
      out_ +=
          "The contributions of all components, added up, give back the embedding that the model "
          "itself computes, up to this fraction of its length: the figures below split the "
          "embedding itself, not an approximation of it.";
    } else {
      out_ +=
          "The contributions of all components, added up, miss the embedding that the model "
          "itself computes by this fraction of its length: read the figures below as "
          "approximate.";
    }
    Put(out_,
        " <span class=\"muted\">\u2016\u03a3c \u2212 e\u2016 / \u2016e\u2016 over {}.</span></p>\n"
        "</section>\n",
        Counted(input_.store.images, "picture"));
  }

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

  void PutShares() {
    const int layers = static_cast<int>(input_.model.vision.layers);
    const int heads = static_cast<int>(input_.model.vision.heads);
    const double input_share = input_share_ ? input_share_->share : 0;
    Put(out_,
        "<section id=\"shares\" aria-labelledby=\"shares-h\">\n"
        "<h2 id=\"shares-h\">Where the variance comes from</h2>\n"
        "<p>How much of the embedding\u2019s variance over the pictures each component brings, in "
        "per cent; all shares add up to {}.{}{}</p>\n",
        Percent(heads_total_ + mlps_total_ + input_share), HalfSentence(),
        smallest_ < 0 ? " A negative share marks a component that moves against the sum of the "
                        "others."
                      : "");
    PutStack(input_share);
    Put(out_,
        "<p class=\"muted\" id=\"map-note\">Share of the variance, per cent. The picture enters at "
        "the bottom; the last layer is on top.{}</p>\n"
        "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-labelledby=\"shares-h\">\n"
        "<table class=\"map{}\" aria-labelledby=\"map-note\">\n<thead><tr><th scope=\"col\">"
        "<span class=\"hide\">Layer</span></th>",
        listed_.empty() ? "" : " A head\u2019s cell leads to its texts.", heads > 8 ? " wide" : "");
    for (int h = 0; h < heads; ++h) Put(out_, "<th scope=\"col\">H{}</th>", h);
    out_ +=
        "<th scope=\"col\" class=\"apart\">MLP</th><th scope=\"col\" class=\"sum\">all "
        "heads</th></tr></thead>\n<tbody>\n";
    for (int l = layers - 1; l >= 0; --l) {
      Put(out_, "<tr><th scope=\"row\">L{}</th>", l);
      double sum = 0;
      for (int h = 0; h < heads; ++h) {
        const ComponentShare* share = Find(share_of_, HeadId{l, h});
        PutCell(share, listed_.contains({l, h}));
        if (share) sum += share->share;
      }
      PutCell(Find(mlp_of_, l), false);
      Put(out_, "<td class=\"sum\">{}</td></tr>\n", FormatFixed(100 * sum, 1));
    }
    Put(out_, "<tr><th scope=\"row\">INPUT</th><td colspan=\"{}\" class=\"void\"></td>", heads);
    PutCell(input_share_, false);
    out_ += "<td class=\"void\"></td></tr>\n</tbody></table>\n</div>\n";
    PutLegend();
    out_ += "</section>\n";
  }

  void PutExtras() {
    std::set<HeadId> listed;
    for (const auto& [id, here] : listed_) listed.insert(id);
    const ReportExtras& extras = input_.extras;
    if (extras.labels) out_ += LabelSection(*extras.labels, listed);
    PutNeighbours();
    if (extras.ablation) out_ += AblationSection(extras.ablation->setting, extras.ablation->result);
    if (extras.groups) out_ += GroupSection(*extras.groups);
    if (extras.scores) out_ += ScoreSection(*extras.scores, listed);
  }

  // A head's label on its card.
  void PutLabel(HeadId id) {
    if (!input_.extras.labels) return;
    for (const HeadLabel& label : input_.extras.labels->labels) {
      if (label.id != id) continue;
      out_ += LabelOfCard(*input_.extras.labels, label, [&](const LabelEvidence& evidence) {
        if (!thumbnail_of_.contains(evidence.index)) return std::string();
        const std::string before = std::exchange(out_, "");
        PutPicture({evidence.index, evidence.share});
        return std::exchange(out_, before);
      });
    }
  }

  // How concentrated the variance is.
  std::string HalfSentence() const {
    std::vector<double> sorted;
    double total = 0;
    for (const ComponentShare& share : input_.shares) {
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
    const std::pair<const char*, double> parts[] = {
        {"Attention heads", heads_total_}, {"MLPs", mlps_total_}, {"Input", input_share}};
    double low = 0, high = 0;
    for (const auto& [name, share] : parts) (share < 0 ? low : high) += share;
    const double width = high - low;
    out_ += "<div class=\"stack\">\n";
    if (width > 0) {
      out_ += "<svg viewBox=\"0 0 100 1\" preserveAspectRatio=\"none\" aria-hidden=\"true\">";
      double left = 0, right = 0;
      for (int i = 0; i < 3; ++i) {
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
    for (int i = 0; i < 3; ++i) {
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

  const std::string& TextOf(const SpanText& text) const {
    if (text.index < 0 || text.index >= static_cast<Index>(input_.pool.texts.size())) {
      throw Error(ErrorCode::kInvalidArgument, "report: text {}; {} has {} texts", text.index,
                  input_.pool.name, input_.pool.texts.size());
    }
    return At(input_.pool.texts, text.index);
  }

  const std::string* PropertyOf(const SpanText& text) const {
    const auto index = ToSize(text.index);
    if (index >= input_.pool.properties.size() || !input_.pool.properties[index]) return nullptr;
    return &*input_.pool.properties[index];
  }

  static double Explained(const ReportHead& head) {
    return head.span.texts.empty() ? 0 : head.span.texts.back().cumulative;
  }

  // Place among all heads of the model, on the page or not.
  Index PlaceByShare(const ComponentShare& share) const {
    return 1 + std::count_if(share_of_.begin(), share_of_.end(),
                             [&](const auto& other) { return other.second->share > share.share; });
  }

  Index LastLayerFirst(HeadId id) const {
    return (input_.model.vision.layers - 1 - id.layer) * input_.model.vision.heads + id.head;
  }

  std::string ItemName(const ScoredItem& scored) const {
    if (scored.item < 0 || scored.item >= static_cast<Index>(input_.items.size())) {
      throw Error(ErrorCode::kInvalidArgument, "report: picture {}; the store has {}", scored.item,
                  input_.items.size());
    }
    const Item& item = At(input_.items, scored.item);
    return (item.label ? EscapeHtml(*item.label) + " \u00b7 " : "") + EscapeHtml(item.path);
  }

  void PutPicture(const ScoredItem& scored) {
    const std::string name = ItemName(scored);
    const std::string score = FormatSigned(scored.score, 3);
    if (thumbnail_of_.contains(scored.item)) {
      Put(out_,
          "<svg class=\"t\" role=\"img\"><title>{} \u00b7 {}</title><use href=\"#p{}\"/></svg>",
          name, score, scored.item);
    } else {
      Put(out_,
          "<span class=\"t gone\" role=\"img\" aria-label=\"{0}, not readable\" title=\"{0} "
          "\u00b7 {1}\"></span>",
          name, score);
    }
  }

  void PutStrip(const char* label, const std::vector<ScoredItem>& pictures) {
    Put(out_, "<div class=\"row\"><span class=\"end\">{}</span>", label);
    if (thumbnail_of_.empty()) {
      out_ += "<ol class=\"names\">";
      for (const ScoredItem& scored : pictures) {
        Put(out_, "<li><bdi>{}</bdi> {}</li>", ItemName(scored), FormatSigned(scored.score, 3));
      }
      out_ += "</ol></div>\n";
      return;
    }
    out_ += "<ul class=\"strip\">";
    for (const ScoredItem& scored : pictures) {
      out_ += "<li>";
      PutPicture(scored);
      out_ += "</li>";
    }
    out_ += "</ul></div>\n";
  }

  void PutNeighbours() {
    if (input_.neighbours.empty()) return;
    out_ +=
        "<section id=\"alike\" class=\"alike\" aria-labelledby=\"alike-h\">\n<h2 "
        "id=\"alike-h\">Alike in one property</h2>\n<p>For each property that heads are labelled "
        "with, the pictures most like one picture: by the sum of what these heads write, and by "
        "the whole embedding (cosine about the mean of the pictures). <code>cliplens "
        "search</code> finds them.</p>\n<div class=\"alikes\">\n";
    for (const ReportNeighbours& one : input_.neighbours) {
      const LabelReport& labels = *input_.extras.labels;
      Put(out_, "<article><h3>{} <span class=\"muted\">{} {}</span></h3>\n",
          Name(labels.table.names.at(ToSize(one.property))), one.heads,
          one.heads == 1 ? "head" : "heads");
      PutStrip("picture", {{one.query, 1}});
      PutStrip("its heads", one.under_heads);
      PutStrip("all", one.whole);
      out_ += "</article>\n";
    }
    out_ += "</div>\n</section>\n";
  }

  // What the reader must know about pictures that the page lacks.
  void PutPictureNotice() {
    const ThumbnailSet& set = input_.thumbnails;
    if (input_.store.stats_only) {
      out_ +=
          "<p class=\"notice\">The store keeps statistics only, so no pictures can be ranked "
          "along the texts. Decompose without <code>--stats-only</code> to see them.</p>\n";
    } else if (set.missing > 0 && set.missing == set.asked) {
      Put(out_,
          "<p class=\"notice\">The pictures could not be read when this page was made, so they "
          "are named instead of shown. First reason: {}.</p>\n",
          Name(set.first_reason));
    } else if (set.missing > 0) {
      Put(out_,
          "<p class=\"notice\">{} of {} pictures could not be read and are left blank. First "
          "reason: {}.</p>\n",
          FormatCount(set.missing), FormatCount(set.asked), Name(set.first_reason));
    }
  }

  void PutGlance() {
    Put(out_,
        "<section id=\"glance\" aria-labelledby=\"glance-h\">\n<h2 id=\"glance-h\">{}</h2>\n"
        "<p>Largest share first. Texts are the first that TextSpan chose{}.</p>\n",
        ranked_.size() == share_of_.size() ? "All heads at a glance" : "The heads at a glance",
        thumbnail_of_.empty() ? "" : "; pictures lie highest along the first of them");
    PutPictureNotice();
    // Sorting and filtering need the script, which shows the tools.
    out_ +=
        "<div class=\"tools\" hidden><label>Find <input type=\"search\" id=\"find\" "
        "placeholder=\"a word, or L5\"></label><label>Order <select id=\"order\">"
        "<option value=\"share\">share</option><option value=\"layer\">layer</option>"
        "<option value=\"explained\">explained by texts</option></select></label>"
        "<output id=\"found\" aria-live=\"polite\"></output></div>\n"
        "<table class=\"glance\">\n<thead><tr><th scope=\"col\">Head</th><th scope=\"col\" "
        "class=\"number\">Share</th><th scope=\"col\"><span class=\"hide\">Share as a bar"
        "</span></th><th scope=\"col\">First texts</th>";
    if (!thumbnail_of_.empty()) out_ += "<th scope=\"col\">Highest</th>";
    out_ += "</tr></thead>\n<tbody>\n";
    double widest = 0;
    for (const ReportHead* head : ranked_) widest = std::max(widest, share_of_.at(head->id)->share);
    for (const ReportHead* head : ranked_) {
      const ComponentShare& share = *share_of_.at(head->id);
      Put(out_,
          "<tr data-head=\"{0}\"><th scope=\"row\"><a href=\"#{0}\">{0}</a></th>"
          "<td class=\"number\">{1}</td><td class=\"meter\">{2}</td><td class=\"words\">",
          HeadName(head->id), Percent(share.share),
          widest > 0 && share.share > 0 ? StaircaseBar(0, share.share / widest) : "");
      for (std::size_t t = 0; t < std::min(kGlanceTexts, head->span.texts.size()); ++t) {
        Put(out_, "{}<q>{}</q>", t > 0 ? " " : "", Name(TextOf(head->span.texts[t])));
      }
      out_ += "</td>";
      if (!thumbnail_of_.empty()) {
        out_ += "<td class=\"peek\">";
        if (!head->extremes.empty()) {
          const std::vector<ScoredItem>& highest = head->extremes.front().highest;
          for (std::size_t k = 0; k < std::min(kGlancePictures, highest.size()); ++k) {
            PutPicture(highest[k]);
          }
        }
        out_ += "</td>";
      }
      out_ += "</tr>\n";
    }
    out_ += "</tbody></table>\n</section>\n";
  }

  // Shares of the head's variance by the property that the pool gives to its texts.
  void PutProperties(const ReportHead& head) {
    std::vector<std::pair<std::string, double>> sums;
    for (const SpanText& text : head.span.texts) {
      const std::string* property = PropertyOf(text);
      if (property == nullptr) continue;
      auto found = std::find_if(sums.begin(), sums.end(),
                                [&](const auto& sum) { return sum.first == *property; });
      if (found == sums.end()) found = sums.insert(sums.end(), {*property, 0.0});
      found->second += text.share;
    }
    if (sums.empty()) return;
    std::stable_sort(sums.begin(), sums.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    out_ += "<p class=\"kinds\"><span>By kind of text</span>";
    for (const auto& [property, share] : sums) {
      Put(out_, " <span><b>{}</b> {}</span>", Name(property), Percent(share));
    }
    out_ += "</p>\n";
  }

  void PutTexts(const ReportHead& head) {
    out_ +=
        "<table class=\"texts\">\n<thead><tr><th scope=\"col\"><span class=\"hide\">Place</span>"
        "</th><th scope=\"col\">Text</th><th scope=\"col\"><span class=\"hide\">Share and sum as "
        "a bar</span></th><th scope=\"col\" class=\"number\">share</th><th scope=\"col\" "
        "class=\"number\">sum</th></tr></thead>\n<tbody>\n";
    int place = 0;
    for (const SpanText& text : head.span.texts) {
      const std::string* property = PropertyOf(text);
      Put(out_,
          "<tr><td class=\"place\">{}</td><td class=\"text\">{}{}</td><td class=\"meter\">{}</td>"
          "<td class=\"number\">{}</td><td class=\"number sum\">{}</td></tr>\n",
          ++place, Name(TextOf(text)),
          property ? " <span class=\"kind\">" + Name(*property) + "</span>" : "",
          StaircaseBar(text.cumulative - text.share, text.share), FormatFixed(100 * text.share, 1),
          FormatFixed(100 * text.cumulative, 1));
    }
    out_ += "</tbody></table>\n";
  }

  void PutHeads() {
    out_ +=
        "<section id=\"heads\" aria-labelledby=\"heads-h\">\n<h2 id=\"heads-h\">Head by head</h2>\n"
        "<p>The strong part of a bar is what a text explains of the head\u2019s variance beyond "
        "the "
        "texts before it, in per cent.</p>\n<div id=\"cards\">\n";
    for (const ReportHead* head : ranked_) {
      const ComponentShare& share = *share_of_.at(head->id);
      const std::string name = HeadName(head->id);
      Put(out_,
          "<article class=\"head\" id=\"{0}\" aria-labelledby=\"{0}-h\" data-place=\"{1}\" "
          "data-explained=\"{2}\">\n<div class=\"title\"><h3 id=\"{0}-h\">{0}</h3>\n"
          "<dl class=\"figures\"><div><dt>of the variance</dt><dd>{3}</dd></div>"
          "<div><dt>place by share</dt><dd>{4}<small> of {5}</small></dd></div>"
          "<div><dt>explained by {6}</dt><dd>{7}</dd></div>"
          "<div><dt>rank</dt><dd>{8}</dd></div></dl>"
          "<a class=\"back\" href=\"#shares\">to the map</a></div>\n",
          name, LastLayerFirst(head->id), Explained(*head),
          fmt::format("{}<small> \u00b1 {}</small>", Percent(share.share),
                      FormatFixed(100 * share.spread, 1)),
          PlaceByShare(share), share_of_.size(),
          Counted(static_cast<Index>(head->span.texts.size()), "text"), Percent(Explained(*head)),
          head->span.rank);
      PutLabel(head->id);
      if (head->span.texts.empty()) {
        out_ += "<p class=\"muted\">No text explains any of its variance.</p>\n</article>\n";
        continue;
      }
      out_ += "<div class=\"columns\"><div>\n";
      PutTexts(*head);
      PutProperties(*head);
      out_ += "</div>\n";
      if (!head->extremes.empty()) {
        out_ += "<div class=\"pictures\">\n";
        for (std::size_t t = 0; t < std::min(head->extremes.size(), head->span.texts.size()); ++t) {
          Put(out_, "<h4>{}</h4>\n", Name(TextOf(head->span.texts[t])));
          PutStrip("highest", head->extremes[t].highest);
          PutStrip("lowest", head->extremes[t].lowest);
        }
        out_ += "</div>\n";
      }
      out_ += "</div>\n</article>\n";
    }
    out_ += "</div>\n</section>\n";
  }

  void PutMethod() {
    out_ +=
        "<section id=\"method\" class=\"method\" aria-labelledby=\"method-h\">\n"
        "<h2 id=\"method-h\">How to read this page</h2>\n"
        "<h3>Contributions</h3>\n<p>A vision transformer adds up what its parts write. Its image "
        "embedding e is therefore a sum of contributions c, one for each attention head, each MLP "
        "and the input, with the last layer norm\u2019s scale taken from the picture\u2019s own "
        "forward pass and constants shared evenly (<cite>Interpreting CLIP\u2019s Image "
        "Representation via Text-Based Decomposition</cite>, ICLR 2024, arXiv 2310.05916).</p>\n"
        "<h3>Share of the variance</h3>\n<p>A component\u2019s share is \u03a3\u2009\u27e8c \u2212 "
        "mean c, e \u2212 mean e\u27e9 / \u03a3\u2009\u2016e \u2212 mean e\u2016\u00b2 over the "
        "pictures. Shares add up to one. A component that writes the same for every picture has "
        "none, "
        "however long its contribution. ";
    Put(out_,
        "The figure after \u00b1 is the standard error over {} disjoint slices of the "
        "pictures.</p>\n",
        input_.store.slices);
    out_ +=
        "<h3>Texts of a head</h3>\n<p>TextSpan (Algorithm 1 of the same paper) projects every text "
        "of "
        "the pool onto the directions in which the head writes, takes the text that explains most "
        "of "
        "the head\u2019s variance, removes that direction and goes on. <i>Rank</i> counts the "
        "directions in which texts were compared.</p>\n"
        "<h3>Pictures along a text</h3>\n<p>Highest and lowest are the pictures whose contribution "
        "from this head, its mean removed, agrees most and least with the text (their inner "
        "product). "
        "They are shown as the model reads them, resized and cropped.</p>\n"
        "<h3>Limits</h3>\n<ul><li>A text names what the pool offers. A head can be about something "
        "that no text of the pool says; then the texts explain little, or the nearest ones stand "
        "in "
        "for it.</li><li>One text may serve several heads, and a head may need several texts: the "
        "list spans a space, it is not a list of concepts.</li><li>The opposite of a text lies on "
        "the same direction. A text can be first because the head tells it from something "
        "else.</li><li>Figures hold for these pictures. Other pictures vary in other "
        "ways.</li></ul>\n</section>\n";
  }

  // Each picture stands here once; <use> shows it wherever it is needed.
  void PutThumbnails() {
    if (thumbnail_of_.empty()) return;
    out_ += "<svg class=\"store\" aria-hidden=\"true\"><defs>\n";
    for (const auto& [item, thumbnail] : thumbnail_of_) {
      Put(out_,
          "<symbol id=\"p{0}\" viewBox=\"0 0 {1} {1}\"><image width=\"{1}\" height=\"{1}\" "
          "href=\"{2}\"/></symbol>\n",
          item, thumbnail->side, thumbnail->data_uri);
    }
    out_ += "</defs></svg>\n";
  }

  const ReportInput& input_;
  std::string out_;
  std::map<HeadId, const ComponentShare*> share_of_;
  std::map<int, const ComponentShare*> mlp_of_;
  const ComponentShare* input_share_ = nullptr;
  std::map<HeadId, bool> listed_;
  std::vector<const ReportHead*> ranked_;
  std::map<Index, const Thumbnail*> thumbnail_of_;
  double heads_total_ = 0, mlps_total_ = 0, largest_ = 0, smallest_ = 0;
};

}  // namespace

std::string RenderReport(const ReportInput& input) { return Page(input).Render(); }

}  // namespace cliplens
