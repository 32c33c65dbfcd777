#pragma once
#define DISTRHO_PLUGIN_BRAND "Airband"
#define DISTRHO_PLUGIN_NAME "Airband Render"
#define DISTRHO_PLUGIN_URI "urn:airband:render"
#define DISTRHO_PLUGIN_CLAP_ID "airband.render"
#define DISTRHO_PLUGIN_BRAND_ID Airb
#define DISTRHO_PLUGIN_UNIQUE_ID AbRn
#define DISTRHO_PLUGIN_HAS_UI 0
#define DISTRHO_PLUGIN_IS_RT_SAFE 0
#define DISTRHO_PLUGIN_NUM_INPUTS 2
#define DISTRHO_PLUGIN_NUM_OUTPUTS 2
#define DISTRHO_PLUGIN_WANT_LATENCY 1
#define DISTRHO_PLUGIN_LV2_CATEGORY "lv2:UtilityPlugin"
#define DISTRHO_PLUGIN_VST3_CATEGORIES "Fx|Tools|Stereo"
#define DISTRHO_PLUGIN_CLAP_FEATURES "audio-effect", "utility", "stereo"
