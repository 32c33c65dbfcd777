#pragma once
#define DISTRHO_PLUGIN_BRAND "Airband"
#define DISTRHO_PLUGIN_NAME "Airband Send"
#define DISTRHO_PLUGIN_URI "urn:airband:send"
#define DISTRHO_PLUGIN_CLAP_ID "airband.send"
#define DISTRHO_PLUGIN_BRAND_ID Airb
#define DISTRHO_PLUGIN_UNIQUE_ID AbSn
#define DISTRHO_PLUGIN_HAS_UI 0
#define DISTRHO_PLUGIN_IS_RT_SAFE 1
#define DISTRHO_PLUGIN_NUM_INPUTS 2
#define DISTRHO_PLUGIN_NUM_OUTPUTS 2
#define DISTRHO_PLUGIN_WANT_TIMEPOS 1
#define DISTRHO_PLUGIN_LV2_CATEGORY "lv2:UtilityPlugin"
#define DISTRHO_PLUGIN_VST3_CATEGORIES "Fx|Tools|Stereo"
#define DISTRHO_PLUGIN_CLAP_FEATURES "audio-effect", "utility", "stereo"
