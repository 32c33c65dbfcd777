#pragma once
#define DISTRHO_PLUGIN_BRAND "Airband"
#define DISTRHO_PLUGIN_BRAND_ID Airb
#if AIRBAND_CHANNELS == 1
#define DISTRHO_PLUGIN_NAME "Airband Render Mono"
#define DISTRHO_PLUGIN_URI "urn:airband:render-mono"
#define DISTRHO_PLUGIN_CLAP_ID "airband.render-mono"
#define DISTRHO_PLUGIN_UNIQUE_ID AbRm
#define DISTRHO_PLUGIN_VST3_CATEGORIES "Fx|Tools|Mono"
#define DISTRHO_PLUGIN_CLAP_FEATURES "audio-effect", "utility", "mono"
#else
#define DISTRHO_PLUGIN_NAME "Airband Render"
#define DISTRHO_PLUGIN_URI "urn:airband:render"
#define DISTRHO_PLUGIN_CLAP_ID "airband.render"
#define DISTRHO_PLUGIN_UNIQUE_ID AbRn
#define DISTRHO_PLUGIN_VST3_CATEGORIES "Fx|Tools|Stereo"
#define DISTRHO_PLUGIN_CLAP_FEATURES "audio-effect", "utility", "stereo"
#endif
#define DISTRHO_PLUGIN_HAS_UI 0
#define DISTRHO_PLUGIN_IS_RT_SAFE 0
#define DISTRHO_PLUGIN_NUM_INPUTS AIRBAND_CHANNELS
#define DISTRHO_PLUGIN_NUM_OUTPUTS AIRBAND_CHANNELS
#define DISTRHO_PLUGIN_WANT_LATENCY 1
#define DISTRHO_PLUGIN_LV2_CATEGORY "lv2:UtilityPlugin"
